"""What a runtime must remember across restarts besides its key and its receipts.

- Versions only rise: the signed documents themselves are kept, and the numbers that must outlive them stand beside.
- The state is one value, replaced as a whole; what is in memory is on disk already.
"""

import base64
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from spin_runtime.broker.disk import EncryptedFolder, unreadable

FILE = "state"


@dataclass(frozen=True)
class State:
    # The signed EnrolRequest that waits for its grant; kept, so that a restart in the middle of pairing loses nothing.
    enrol_request: bytes = b""
    # The signed EnrolGrant; empty until the runtime is paired.
    enrol_grant: bytes = b""
    # Signed RootDocuments, from the one that SPIN_TOKEN pins to the newest.
    root_documents: tuple[bytes, ...] = ()
    # The newest signed TrustState; empty before the first.
    trust_state: bytes = b""
    # The checkpoint of the home's log that was last proved, or the first one seen.
    log_note: bytes = b""
    log_size: int = 0
    log_root: bytes = b""
    # The highest bundle version seen and its digest, which outlive the bundle.
    bundle_version: int = 0
    bundle_digest: bytes = b""
    # Who signed it.
    bundle_key_ids: tuple[bytes, ...] = ()
    # The latest time that was seen since the trust state came, so that a clock set back prolongs nothing.
    trust_seen_ms: int = 0


class StateStore:
    def __init__(self, folder: EncryptedFolder) -> None:
        self._folder = folder
        data = folder.read(FILE)
        try:
            self._state = State() if data is None else _decoded(data)
        except (ValueError, TypeError, KeyError):
            raise unreadable(folder.path / FILE) from None

    @property
    def state(self) -> State:
        return self._state

    def change(self, **changes: Any) -> State:
        """Stores the state with these fields changed; durable when it returns."""
        state = replace(self._state, **changes)
        if state != self._state:
            self._folder.write(FILE, _encoded(state))
            self._state = state
        return state


def _encoded(state: State) -> bytes:
    return json.dumps({"format": 1, **asdict(state)}, default=lambda data: base64.b64encode(data).decode()).encode()


def _decoded(data: bytes) -> State:
    fields = json.loads(data)
    if fields.pop("format") != 1:
        raise ValueError("a format of a newer version")
    return State(
        enrol_request=base64.b64decode(fields["enrol_request"]),
        enrol_grant=base64.b64decode(fields["enrol_grant"]),
        root_documents=tuple(base64.b64decode(document) for document in fields["root_documents"]),
        trust_state=base64.b64decode(fields["trust_state"]),
        log_note=base64.b64decode(fields["log_note"]),
        log_size=int(fields["log_size"]),
        log_root=base64.b64decode(fields["log_root"]),
        bundle_version=int(fields["bundle_version"]),
        bundle_digest=base64.b64decode(fields["bundle_digest"]),
        bundle_key_ids=tuple(base64.b64decode(key_id) for key_id in fields["bundle_key_ids"]),
        trust_seen_ms=int(fields["trust_seen_ms"]),
    )
