"""Telling a runtime that it was removed: it stops at once when it can be reached, else when its trust runs out.

The runtime needs no capability for this: what it believes is auth's signature, whoever brings it.
"""

import asyncio
import secrets

from spin_client.sdk.errors import SpinError
from spin_client.sdk.platform import Platform
from spin_client.sdk.wire import ConnectionLost, dial
from spin_envelope.keys import SigningKey
from spinapis.auth.v1 import trust_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import workspaces_pb2

_ANSWER_S = 5.0


async def tell(platform: Platform, runtime: workspaces_pb2.Runtime) -> bool:
    """Carries the revoked trust state; whether the runtime took it. Before its record is deleted: auth signs for records that are there."""
    request = trust_pb2.GetTrustStateRequest(workspace_id=runtime.workspace_id, runtime_id=runtime.id)
    state, documents = await asyncio.gather(platform.enrolment.GetTrustState(request), platform.trust.documents())
    trust = frames_pb2.TrustDocuments(root_documents=documents, trust_state=state.trust_state)
    hello = frames_pb2.ClientHello(nonce_b=secrets.token_bytes(32), session_key=SigningKey.generate().public, trust=trust)
    try:
        wire = await dial(runtime.url, platform.tls)
    except (ConnectionLost, SpinError):
        return False
    try:
        await wire.send(frames_pb2.ClientFrame(client_hello=hello))
        return (await wire.receive(_ANSWER_S)).error.reason == reasons_pb2.ERROR_REASON_RUNTIME_REVOKED
    except (ConnectionLost, SpinError):
        return False
    finally:
        await wire.close()
