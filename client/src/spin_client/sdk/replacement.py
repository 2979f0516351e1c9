"""A record has one identity for life. So a runtime that lost its disk, or must get another token, gets a record of its own again: same name, address,
labels and place as the default.
"""

import secrets
import shlex

from spin_client.sdk.errors import SpinError
from spin_client.sdk.platform import Platform
from spinapis.workspace.v1 import workspaces_pb2


async def replace_record(platform: Platform, runtime: workspaces_pb2.Runtime, url: str = "") -> workspaces_pb2.Runtime:
    """Deletes the record, which ends its trust, and makes its successor, which is not paired yet. `url` is another address, where it moved.

    Where the second step fails, the error says how to take it by hand.
    """
    delete = workspaces_pb2.DeleteRuntimeRequest(workspace_id=runtime.workspace_id, runtime_id=runtime.id, etag=runtime.etag)
    await platform.runtimes.DeleteRuntime(delete)
    request = workspaces_pb2.CreateRuntimeRequest(
        workspace_id=runtime.workspace_id,
        idempotency_key=secrets.token_hex(16),
        name=runtime.name,
        url=url or runtime.url,
        labels=dict(runtime.labels),
        is_default=runtime.is_default,
    )
    try:
        return (await platform.runtimes.CreateRuntime(request)).runtime
    except SpinError as error:
        again = _by_hand(request)
        raise SpinError(error.reason, f"{error.text} The old record is gone already: go on with `{again}`", error.metadata) from None


def _by_hand(request: workspaces_pb2.CreateRuntimeRequest) -> str:
    """People paste it into a shell, and somebody else chose the names: each is one word, and none of them an option."""
    labels = [f"--label={name}={value}" for name, value in request.labels.items()]
    return shlex.join(["spinctl", "runtime", "add", *(["--default"] if request.is_default else []), *labels, "--", request.name, request.url])
