"""The folder of keys and root documents.

    root-documents/00000001.bin    signed RootDocuments, all of them, public
    <role>/<key id>.key            private keys, wrapped by the KEK; a service needs its own role's folder alone
    revoked                        key ids that must not be trusted any more, one per line

Rules: the newest root document says which key is current, so there is no other state to disagree with it; a document lists each role's
current key, its next one, and after a rotation the one before, so that every verifier knows a key before it signs; key files are
written before the document that names them; a running process sees a rotation within a second.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.root import TrustedRoot, build_root_document
from spin_envelope.signing import sign, unverified
from spin_services.keys.files import locked, write_durably
from spin_services.keys.kek import FileKek, KeysUnusable
from spinapis.envelope.v1.trust_pb2 import Role, RootDocument

ROOT_LIFE_MS = 5 * 365 * 24 * 3600 * 1000
LOOK_AGAIN_S = 1.0
ROTATING_ROLES = (Role.ROLE_AUTH, Role.ROLE_COMPILER, Role.ROLE_SECRETS, Role.ROLE_AUDIT, Role.ROLE_WORKSPACE)
Listing = dict[Role.ValueType, list[bytes]]


@dataclass(frozen=True)
class _Loaded:
    documents: tuple[bytes, ...]
    root: TrustedRoot
    history: tuple[TrustedRoot, ...]
    revoked: frozenset[bytes]


class KeyStore:
    def __init__(self, folder: Path, kek: FileKek, clock: Callable[[], int]) -> None:
        self.kek = kek
        self._folder = folder
        self._clock = clock
        self._loaded: _Loaded | None = None
        self._looked_at = 0.0
        self._private: dict[bytes, SigningKey] = {}

    def exists(self) -> bool:
        return (self._documents / _file_name(1)).exists()

    def init(self) -> bool:
        """Makes the KEK, all keys and RootDocument 1; False when they are there already."""
        with locked(self._folder):
            if self.exists():
                return False
            self.kek.create()
            root = self._new_key(Role.ROLE_ROOT)
            roles: Listing = {Role.ROLE_ROOT: [root.public]}
            for role in ROTATING_ROLES:
                roles[role] = [self._new_key(role).public, self._new_key(role).public]
            self._publish(1, roles, root)
            return True

    def role_key(self, role: Role.ValueType) -> SigningKey:
        """The key that the role signs with now. Raises KeysUnusable."""
        current = self.root().keys(role)[0].key_id
        if current not in self._private:
            self._private[current] = self._read_key(role, current)
        return self._private[current]

    def root(self) -> TrustedRoot:
        return self._current().root

    def root_documents(self) -> list[bytes]:
        """All of them as carried, oldest first."""
        return list(self._current().documents)

    def revoked_key_ids(self) -> frozenset[bytes]:
        return self._current().revoked

    def every_key(self, role: Role.ValueType) -> list[VerifyKey]:
        """Keys that the role ever had and that were not revoked: for what was signed long ago and is signed anew when used."""
        loaded = self._current()
        found = {key.key_id: key for root in loaded.history for key in root.keys(role)}
        return [key for key_id, key in found.items() if key_id not in loaded.revoked]

    def rotate(self, role: Role.ValueType, *, compromised: bool = False) -> TrustedRoot:
        """Makes the next key current, and a new next one. The old key stays accepted until the rotation after, unless it is compromised."""
        with locked(self._folder):
            self._looked_at = 0.0
            loaded, signers = self._current(), [self.role_key(Role.ROLE_ROOT)]
            roles = _listing(loaded.root)
            old = loaded.root.keys(role)
            new = self._new_key(role)
            if role == Role.ROLE_ROOT:
                roles[role] = [new.public]
                signers.append(new)
            else:
                roles[role] = [old[1].public, new.public] + ([] if compromised else [old[0].public])
            if compromised:
                self._revoke(loaded.revoked | {old[0].key_id})
            self._publish(loaded.root.version + 1, roles, *signers)
            self._forget(role, keep={old[0].key_id} if not compromised else set())
            self._looked_at = 0.0
            return self._current().root

    @property
    def _documents(self) -> Path:
        return self._folder / "root-documents"

    def _current(self) -> _Loaded:
        now = time.monotonic()
        if self._loaded is None or now - self._looked_at > LOOK_AGAIN_S:
            self._looked_at = now
            names = sorted(path.name for path in self._documents.glob("????????.bin")) if self._documents.is_dir() else []
            if not names:
                raise KeysUnusable(f"there are no keys in {self._folder}: run `spin-service keys init`")
            if self._loaded is None or len(names) != len(self._loaded.documents):
                self._loaded = self._load([(self._documents / name).read_bytes() for name in names])
        return self._loaded

    def _load(self, documents: list[bytes]) -> _Loaded:
        root = TrustedRoot.pinned(documents[0], None)
        history = [root]
        for data in documents[1:]:
            root = root.updated(data)
            history.append(root)
        root.check_time(self._clock())
        path = self._folder / "revoked"
        revoked = frozenset(bytes.fromhex(line) for line in path.read_text().split()) if path.exists() else frozenset()
        return _Loaded(tuple(documents), root, tuple(history), revoked)

    def _publish(self, version: int, roles: Listing, *signers: SigningKey) -> None:
        document = build_root_document(version, self._clock() + ROOT_LIFE_MS, roles)
        write_durably(self._documents / _file_name(version), sign(document, *signers), mode=0o644)

    def _revoke(self, key_ids: frozenset[bytes]) -> None:
        write_durably(self._folder / "revoked", "".join(f"{key_id.hex()}\n" for key_id in sorted(key_ids)).encode(), mode=0o644)

    def _new_key(self, role: Role.ValueType) -> SigningKey:
        key = SigningKey.generate()
        write_durably(self._key_path(role, key.key_id), self.kek.wrap(key.seed, _aad(role, key.key_id)))
        return key

    def _read_key(self, role: Role.ValueType, key_id: bytes) -> SigningKey:
        path = self._key_path(role, key_id)
        try:
            wrapped = path.read_bytes()
        except OSError as error:
            raise KeysUnusable(f"the key {path} cannot be read: {error.strerror}") from None
        key = SigningKey.from_seed(self.kek.unwrap(wrapped, _aad(role, key_id)))
        if key.key_id != key_id:
            raise KeysUnusable(f"the key in {path} is another one")
        return key

    def _forget(self, role: Role.ValueType, keep: set[bytes]) -> None:
        """Deletes private keys that sign no more; one generation stays for processes that look a second later."""
        listed = {key.key_id for key in TrustedRoot.pinned(self._newest(), None).keys(role)}
        for path in (self._folder / _name(role)).glob("*.key"):
            if bytes.fromhex(path.stem) not in listed | keep:
                path.unlink()

    def _newest(self) -> bytes:
        return max(self._documents.glob("????????.bin")).read_bytes()

    def _key_path(self, role: Role.ValueType, key_id: bytes) -> Path:
        return self._folder / _name(role) / f"{key_id.hex()}.key"


def version_of(document: bytes) -> int:
    return unverified(document, RootDocument).version


def _listing(root: TrustedRoot) -> Listing:
    return {role: [key.public for key in root.keys(role)] for role in (Role.ROLE_ROOT, *ROTATING_ROLES)}


def _name(role: Role.ValueType) -> str:
    return Role.Name(role).removeprefix("ROLE_").lower()


def _file_name(version: int) -> str:
    return f"{version:08d}.bin"


def _aad(role: Role.ValueType, key_id: bytes) -> bytes:
    return b"spin/key-file/v1\0" + _name(role).encode() + b"\0" + key_id
