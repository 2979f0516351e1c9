"""RootDocument: which keys may speak for which role, and how that changes. docs/protocol.md, section 2; TUF 1.0.33, section 5.3.

- The first document is trusted by its digest; version N+1 counts when the root thresholds of N and of N+1 signed it.
- An expired document still vouches for its successor, so that a runtime that was away can catch up; it verifies nothing else. So `now_ms`
  is left out (0) for steps on the way, and given for the last one.
- A key belongs to one role.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from spin_envelope.digests import key_id
from spin_envelope.errors import Refused, RootExpired
from spin_envelope.keys import VerifyKey
from spin_envelope.parsing import M
from spin_envelope.payloads import Signer, spec_of
from spin_envelope.signing import Verified, signed_by, unverified, verify
from spinapis.envelope.v1.signed_pb2 import KEY_ALGORITHM_ED25519, PublicKey
from spinapis.envelope.v1.trust_pb2 import (
    ROLE_AUDIT,
    ROLE_AUTH,
    ROLE_COMPILER,
    ROLE_ROOT,
    ROLE_SECRETS,
    Role,
    RoleKeys,
    RootDocument,
)

ROLES: dict[Signer, Role.ValueType] = {
    Signer.ROOT: ROLE_ROOT,
    Signer.AUTH: ROLE_AUTH,
    Signer.COMPILER: ROLE_COMPILER,
    Signer.SECRETS: ROLE_SECRETS,
    Signer.AUDIT: ROLE_AUDIT,
}


@dataclass(frozen=True)
class _RoleTrust:
    keys: tuple[VerifyKey, ...]
    threshold: int


@dataclass(frozen=True)
class TrustedRoot:
    """A RootDocument that was verified. Values are only made by `pinned` and `updated`."""

    version: int
    expires_at_ms: int
    digest: bytes
    # The SignedMessage as carried.
    data: bytes
    _roles: Mapping[Role.ValueType, _RoleTrust]

    @classmethod
    def pinned(cls, data: bytes, digest: bytes | None, now_ms: int = 0) -> "TrustedRoot":
        """The document with that digest; None for one that the caller holds in safe storage. Raises Refused."""
        roles = _roles_of(unverified(data, RootDocument))
        root = _verified_by(data, roles, roles)
        if digest is not None and root.digest != digest:
            raise Refused("a root document other than the pinned one")
        root.check_time(now_ms)
        return root

    def updated(self, data: bytes, now_ms: int = 0) -> "TrustedRoot":
        """The next version. Raises Refused."""
        document = unverified(data, RootDocument)
        if document.version != self.version + 1:
            raise Refused(f"root document {document.version} after {self.version}")
        root = _verified_by(data, self._roles, _roles_of(document))
        root.check_time(now_ms)
        return root

    def check_time(self, now_ms: int) -> None:
        """Raises RootExpired."""
        if now_ms >= self.expires_at_ms:
            raise RootExpired(f"root document {self.version} has expired")

    def keys(self, role: Role.ValueType) -> list[VerifyKey]:
        """The role's keys, current one first, whatever the time. Raises Refused for a role that the document does not list."""
        return list(self._role(role).keys)

    def threshold(self, role: Role.ValueType) -> int:
        """How many of the role's keys must sign. Raises Refused for a role that the document does not list."""
        return self._role(role).threshold

    def verify(self, data: bytes, cls: type[M], now_ms: int, revoked: Collection[bytes] = ()) -> Verified[M]:
        """Verifies a message of a role that the root binds. Raises Refused, also when the document has expired."""
        self.check_time(now_ms)
        (signer, *_) = spec_of(cls).signers
        if signer not in ROLES:
            raise Refused(f"the root document does not bind the {signer.value}")
        role = self._role(ROLES[signer])
        return verify(data, cls, role.keys, role.threshold, revoked)

    def _role(self, role: Role.ValueType) -> _RoleTrust:
        trust = self._roles.get(role)
        if trust is None:
            raise Refused(f"root document {self.version} does not list role {role}")
        return trust


@dataclass(frozen=True)
class Quorum:
    """How far one generation of root keys has got with signing a document."""

    signed: frozenset[bytes]
    awaited: frozenset[bytes]
    threshold: int

    @property
    def complete(self) -> bool:
        return len(self.signed) >= self.threshold


@dataclass(frozen=True)
class Proposal:
    """A RootDocument on its way: not trusted, and maybe not signed by all that must."""

    document: RootDocument
    # The SignedMessage as carried.
    data: bytes
    _roles: Mapping[Role.ValueType, _RoleTrust]

    @classmethod
    def of(cls, data: bytes) -> "Proposal":
        """Checks the document's form alone. Raises Refused."""
        document = unverified(data, RootDocument)
        return cls(document, data, _roles_of(document))

    def keys(self, role: Role.ValueType) -> list[VerifyKey]:
        """The role's keys, current one first; none for a role that is not listed."""
        trust = self._roles.get(role)
        return [] if trust is None else list(trust.keys)

    @property
    def threshold(self) -> int:
        """The root's."""
        return self._roles[ROLE_ROOT].threshold

    def quorum(self, keys: Sequence[VerifyKey], threshold: int) -> Quorum:
        """What the keys of one generation have signed. Raises Refused."""
        signed = signed_by(self.data, RootDocument, keys)
        return Quorum(signed, frozenset(key.key_id for key in keys) - signed, threshold)


def build_root_document(version: int, expires_at_ms: int, roles: Mapping[Role.ValueType, Sequence[bytes]], threshold: int = 1) -> RootDocument:
    """An unsigned document from each role's public keys, current one first; `threshold` is the root's."""
    document = RootDocument(version=version, expires_at_ms=expires_at_ms)
    for role, publics in roles.items():
        document.keys.extend(PublicKey(algorithm=KEY_ALGORITHM_ED25519, public_key=public) for public in publics)
        ids = [key_id(KEY_ALGORITHM_ED25519, public) for public in publics]
        document.roles.append(RoleKeys(role=role, key_ids=ids, threshold=threshold if role == ROLE_ROOT else 1))
    _roles_of(document)
    return document


def _verified_by(data: bytes, *generations: Mapping[Role.ValueType, _RoleTrust]) -> TrustedRoot:
    """Demands the root threshold of every generation; the last one is the document's own."""
    for roles in generations:
        root = roles[ROLE_ROOT]
        verified = verify(data, RootDocument, root.keys, root.threshold)
    document = verified.message
    return TrustedRoot(document.version, document.expires_at_ms, verified.digest, data, generations[-1])


def _roles_of(document: RootDocument) -> dict[Role.ValueType, _RoleTrust]:
    keys = {key.key_id: key for key in map(_verify_key, document.keys)}
    listed = [kid for entry in document.roles for kid in entry.key_ids]
    if document.version < 1 or len(keys) != len(document.keys):
        raise Refused("a root document without a version, or with a key given twice")
    if sorted(listed) != sorted(keys):
        raise Refused("a root document must give each key to exactly one role")
    roles = {entry.role: _RoleTrust(tuple(keys[kid] for kid in entry.key_ids), entry.threshold) for entry in document.roles}
    if len(roles) != len(document.roles) or ROLE_ROOT not in roles:
        raise Refused("a root document must list the root, and each role once")
    if not all(1 <= trust.threshold <= len(trust.keys) for trust in roles.values()):
        raise Refused("a root document with a threshold that its keys cannot reach")
    return roles


def _verify_key(key: PublicKey) -> VerifyKey:
    if key.algorithm != KEY_ALGORITHM_ED25519:
        raise Refused(f"a root document with a key of algorithm {key.algorithm}")
    return VerifyKey(key.public_key)
