"""Adding a runtime: mint SPIN_TOKEN, tell auth its public half, carry the runtime's enrolment, compare fingerprints. docs/protocol.md, section 3.

The token stays in this process and in what its owner copies; the platform never gets it.
"""

import asyncio
import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from spin_client.sdk.errors import NOT_REACHABLE, TRUST_REFUSED, SpinError, from_frame
from spin_client.sdk.identifiers import id_bytes
from spin_client.sdk.platform import Platform
from spin_client.sdk.trust import verify_runtime
from spin_client.sdk.wire import ConnectionLost, Wire, dial
from spin_envelope.pairing import SpinToken
from spin_envelope.signing import sign
from spinapis.auth.v1 import trust_pb2
from spinapis.envelope.v1 import enrol_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import workspaces_pb2

_ANSWER_S = 15.0
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True)
class Pairing:
    """A minted pairing. `token` is the secret text for the runtime's environment."""

    runtime: workspaces_pb2.Runtime
    token: str = field(repr=False)
    root_version: int
    expires_at_ms: int


async def begin(platform: Platform, runtime: workspaces_pb2.Runtime, *, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> Pairing:
    """Mints a token for a runtime's record and registers its public half.

    hosts: Host values under which clients reach the runtime, beside those of its URL. origins: the platform's own by default.
    """
    root, user = await asyncio.gather(platform.trust.root(), platform.current_user())
    token = SpinToken.mint(id_bytes(runtime.workspace_id), secrets.token_bytes(16), secrets.token_bytes(32), root.digest)
    key = token.pairing_key()
    registration = enrol_pb2.PairRegistration(
        workspace_id=token.workspace_id,
        pairing_id=token.pairing_id,
        user_id=user.id,
        nonce=secrets.token_bytes(32),
        runtime_id=id_bytes(runtime.id),
        pairing_public_key=key.public,
    )
    request = trust_pb2.RegisterPairingRequest(
        workspace_id=runtime.workspace_id,
        registration=sign(registration, key),
        allowed_origins=list(origins) or [platform.endpoint.origin],
        allowed_hosts=list(dict.fromkeys([*hosts_of(runtime.url), *hosts])),
    )
    answer = await platform.enrolment.RegisterPairing(request)
    return Pairing(runtime, token.text, root.version, answer.expires_at_ms)


def hosts_of(url: str) -> list[str]:
    """Host header values that clients send for a URL: the scheme's own port may be left out, and loopback has several names."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    name = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else (parts.hostname or "")
    names = ["localhost", "127.0.0.1", "[::1]"] if name in ("localhost", "127.0.0.1", "[::1]") else [name]
    names.sort(key=lambda n: n != name)
    bare = port == (443 if parts.scheme == "https" else 80)
    return [host for n in names for host in ([n, f"{n}:{port}"] if bare else [f"{n}:{port}"])]


async def enrol(platform: Platform, pairing: Pairing, *, wait_s: float = 0.0) -> bytes:
    """Carries the runtime's request to auth and the grant back; returns the fingerprint. Waits up to `wait_s` for the runtime to come up."""
    give_up = time.monotonic() + wait_s
    while True:
        try:
            wire = await dial(pairing.runtime.url, platform.tls)
            break
        except ConnectionLost as fault:
            if time.monotonic() + _LOOK_AGAIN_S > give_up:
                raise SpinError(NOT_REACHABLE, f"{fault}; is the runtime started with its SPIN_TOKEN?") from None
        await asyncio.sleep(_LOOK_AGAIN_S)
    try:
        return await _enrol_over(platform, pairing, wire)
    except ConnectionLost as fault:
        raise SpinError(NOT_REACHABLE, str(fault)) from None
    finally:
        await wire.close()


async def _enrol_over(platform: Platform, pairing: Pairing, wire: Wire) -> bytes:
    runtime = pairing.runtime
    await wire.send(frames_pb2.ClientFrame(pairing_start=frames_pb2.PairingStart()))
    enrol_request = (await _answer(wire, "enrol_request")).enrol_request
    request = trust_pb2.EnrolRuntimeRequest(workspace_id=runtime.workspace_id, runtime_id=runtime.id, enrol_request=enrol_request)
    granted = await platform.enrolment.EnrolRuntime(request)
    documents = await platform.trust.documents(after_version=pairing.root_version - 1)
    finish = frames_pb2.PairingFinish(enrol_grant=granted.enrol_grant, root_documents=documents)
    await wire.send(frames_pb2.ClientFrame(pairing_finish=finish))
    paired = (await _answer(wire, "paired")).paired
    if paired.fingerprint != granted.fingerprint:
        raise SpinError(TRUST_REFUSED, "the runtime and the platform name different fingerprints")
    return granted.fingerprint


async def _answer(wire: Wire, field_name: str) -> frames_pb2.RuntimeFrame:
    frame = await wire.receive(_ANSWER_S)
    kind = frame.WhichOneof("body")
    if kind == "error":
        raise from_frame(frame.error)
    if kind != field_name:
        raise SpinError("PROTOCOL_VIOLATION", f"the runtime sent {kind} where {field_name} was expected")
    return frame


async def fingerprint(platform: Platform, workspace_id: str, runtime_id: str, homes: Collection[str]) -> tuple[bytes, bool]:
    """The enrolled runtime's fingerprint as auth signed it, and whether it is confirmed. `homes`: see `verify_runtime`."""
    request = trust_pb2.GetRuntimeTrustRequest(workspace_id=workspace_id, runtime_id=runtime_id)
    root = await platform.trust.root()
    runtime = verify_runtime(root, await platform.enrolment.GetRuntimeTrust(request), runtime_id, homes)
    return runtime.fingerprint, runtime.confirmed


async def confirm(platform: Platform, workspace_id: str, runtime_id: str, compared: bytes) -> None:
    """Confirms the runtime whose fingerprint a person compared. auth refuses any other one."""
    request = trust_pb2.ConfirmRuntimeRequest(workspace_id=workspace_id, runtime_id=runtime_id, fingerprint=compared)
    await platform.enrolment.ConfirmRuntime(request)
