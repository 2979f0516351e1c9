"""Which secrets' values a run read, as its runtime's receipts tell, and what the log says of it. Pure.

- A receipt counts what its run did so far. An entry is for what came new with one receipt, so its counts add up; a run that read nothing has none.
- The first reading is in a receipt of its own, which was on the runtime's disk before the value left the broker.
"""

from typing import Any

import orjson

from spin_cells.secret import OPERATION
from spin_services.audit.domain import Draft
from spin_services.audit.receipts import SignedReceipt
from spinapis.envelope.v1.receipt_pb2 import Receipt

TYPE = "secret.exposed"


def newly_read(receipt: Receipt, known: bytes) -> dict[str, int]:
    """How often each connection's value was read, beyond what is known; `known` is a serialized Receipt that holds operations alone."""
    before = _readings(Receipt.FromString(known))
    risen = {connection_id: count - before.get(connection_id, 0) for connection_id, count in _readings(receipt).items()}
    return {connection_id: count for connection_id, count in sorted(risen.items()) if count > 0}


def exposure(one: SignedReceipt, runtime_id: str, run: dict[str, Any], connection_id: str, count: int) -> Draft:
    body = {
        "connection_id": connection_id,
        "count": count,
        "run_id": run["run_id"],
        "workspace_id": run["workspace_id"],
        "session_id": run["session_id"],
        "notebook_id": run["notebook_id"],
        "cell_id": run["cell_id"],
        "runtime_id": runtime_id,
    }
    subjects = [f"connection:{connection_id}", f"runtime:{runtime_id}", f"run:{run['run_id']}"]
    return Draft(
        key=f"{TYPE}:{runtime_id}:{one.seq}:{connection_id}",
        type=TYPE,
        user_id="",
        subjects=(*subjects, *([f"session:{run['session_id']}"] if run["session_id"] else [])),
        body=orjson.dumps(body).decode(),
        pseudonym=run["pseudonym"],
    )


def _readings(receipt: Receipt) -> dict[str, int]:
    return {one.connection_id.hex(): one.count for one in receipt.operations if one.operation == OPERATION and one.count}
