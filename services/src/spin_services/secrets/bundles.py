"""A bundle of credentials for one runtime: made, signed, sealed. docs/protocol.md, section 6. The plaintext never leaves this module unsealed."""

from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.payloads import payload_type
from spin_envelope.sealing import seal
from spin_envelope.signing import sign
from spin_services.runtime_trust import VerifiedHello, VerifiedRuntime
from spin_services.secrets.bundle_store import Issue
from spin_services.secrets.domain import Connection
from spin_services.secrets.store import Usable
from spinapis.envelope.v1.run_pb2 import CredentialBundle, CredentialEntry


def sealed_bundle(
    runtime: VerifiedRuntime, hello: VerifiedHello, usable: Usable, issue: Issue, key: SigningKey, now_ms: int, life_ms: int
) -> tuple[bytes, bytes]:
    """The Sealed and the bundle's digest. Raises Refused when it is over 4 MiB."""
    bundle = CredentialBundle(
        workspace_id=runtime.workspace_id,
        runtime_id=runtime.runtime_id,
        bundle_version=issue.version,
        prev_digest=issue.prev_digest,
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + life_ms,
        entries=[_entry(connection, usable.credentials.get(connection.id, b"{}")) for connection in usable.connections],
        tombstones=[bytes.fromhex(connection_id) for connection_id in usable.tombstones],
    )
    signed = sign(bundle, key)
    sealed = seal(
        signed,
        content_type=payload_type(CredentialBundle),
        workspace_id=runtime.workspace_id,
        runtime_id=runtime.runtime_id,
        boot_id=hello.hello.boot_id,
        recipient=hello.hello.boot_hpke_key,
        min_suite=runtime.suite,
    )
    return sealed, signed_digest(signed)


def _entry(connection: Connection, secret_json: bytes) -> CredentialEntry:
    return CredentialEntry(
        connection_id=bytes.fromhex(connection.id),
        name=connection.name,
        version=connection.version,
        kind=connection.kind,
        config_json=connection.config_json.encode(),
        secret_json=secret_json,
        allowed_hosts=connection.allowed_hosts,
        allowed_operations=connection.allowed_operations,
        exposable=connection.exposable,
        approval_operations=connection.approval_operations,
        references_json=connection.references_json.encode(),
    )
