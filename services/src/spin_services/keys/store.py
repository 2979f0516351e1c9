"""The folder of keys and root documents.

    root-documents/00000001.bin    signed RootDocuments, all of them, public
    <role>/<key id>.key            private keys, wrapped by the KEK; a service needs its own role's folder alone
    revoked                        key ids that must not be trusted any more, one per line

Rules: the newest root document says which key is current, so there is no other state to disagree with it; a document lists each role's
current key, its next one, and after a rotation the one before, so that every verifier knows a key before it signs, and a key that was not
shown for long enough does not become current; key files are written before the document that names them; a running process sees a rotation
within a second. Nothing is signed or verified when the document has expired, and changing it works all the same.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.root import Proposal, TrustedRoot, build_root_document
from spin_envelope.root_changes import Standing, standing
from spin_envelope.signing import countersigned, sign, unverified
from spin_services.keys.files import locked, write_durably
from spin_services.keys.kek import Kek, KeysUnusable
from spin_services.keys.moving import Wrapped
from spinapis.envelope.v1.trust_pb2 import Role, RootDocument

ROOT_LIFE_MS = 5 * 365 * 24 * 3600 * 1000
LOOK_AGAIN_S = 1.0
# How long verifiers may go without looking: the gateway keeps auth's key set for 5 s, and auth itself sees a rotation within a second.
SHOWN_S = 7.0
ROTATING_ROLES = (Role.ROLE_AUTH, Role.ROLE_COMPILER, Role.ROLE_SECRETS, Role.ROLE_AUDIT, Role.ROLE_WORKSPACE)
Listing = dict[Role.ValueType, list[bytes]]


@dataclass(frozen=True)
class _Loaded:
    documents: tuple[bytes, ...]
    root: TrustedRoot
    history: tuple[TrustedRoot, ...]
    revoked: frozenset[bytes]


@dataclass(frozen=True)
class Rotated:
    root: TrustedRoot
    # With which the role signs from now on.
    key_id: bytes


class NotShownYet(KeysUnusable):
    """A key that is to become current was listed so short a time ago that verifiers may not know it: wait."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"verifiers may not know the next key yet: repeat this in {wait_s:.0f} s")
        self.wait_s = wait_s


class KeyStore:
    def __init__(self, folder: Path, kek: Kek, clock: Callable[[], int]) -> None:
        self.kek = kek
        self._folder = folder
        self._clock = clock
        self._loaded: _Loaded | None = None
        self._looked_at = 0.0
        self._private: dict[bytes, SigningKey] = {}

    def exists(self) -> bool:
        return keys_exist(self._folder)

    def init(self) -> bool:
        """Makes all keys and RootDocument 1; False when they are there already."""
        with locked(self._folder):
            if self.exists():
                return False
            root = self._new_key(Role.ROLE_ROOT)
            roles: Listing = {Role.ROLE_ROOT: [root.public]}
            for role in ROTATING_ROLES:
                roles[role] = [self._new_key(role).public, self._new_key(role).public]
            document = build_root_document(1, self._clock() + ROOT_LIFE_MS, roles)
            write_durably(self._documents / _file_name(1), sign(document, root), mode=0o644)
            return True

    def role_key(self, role: Role.ValueType) -> SigningKey:
        """The key that the role signs with now. Raises KeysUnusable, RootExpired."""
        return self._key(role, self.root().keys(role)[0].key_id)

    def root(self) -> TrustedRoot:
        """The document to verify with. Raises RootExpired."""
        root = self.newest()
        root.check_time(self._clock())
        return root

    def newest(self) -> TrustedRoot:
        """The document in force, expired or not."""
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

    def rotate(self, role: Role.ValueType, *, compromised: bool = False, shown_s: float = 0.0) -> Rotated:
        """Makes the next key current, and a new next one. The old key stays accepted until the rotation after, unless it is compromised.

        Raises KeysUnusable when the root is kept elsewhere, NotShownYet when the next key was not listed for `shown_s`.
        """
        with locked(self._folder):
            loaded = self._newest_first()
            if role != Role.ROLE_ROOT:
                self._check_shown(loaded, {loaded.root.keys(role)[1].key_id}, shown_s)
            signers = [self._root_key(loaded.root)]
            roles = _listing(loaded.root)
            if role == Role.ROLE_ROOT:
                signers.append(self._new_key(role))
                # Of several roots of which one suffices, the others stay: they are somebody's.
                roles[role] = [signers[1].public if public == signers[0].public else public for public in roles[role]]
                key_id = signers[1].key_id
            else:
                roles[role] = self._rotated(loaded.root, role, compromised)
                key_id = loaded.root.keys(role)[1].key_id
            document = self._successor(loaded.root, roles)
            return Rotated(self._install(loaded, sign(document, *signers), compromised), key_id)

    def propose(self, role: Role.ValueType, *, compromised: bool = False) -> bytes:
        """The rotation of a role as an unsigned document, for a root that is kept elsewhere; the role's new next key is made."""
        with locked(self._folder):
            root = self._newest_first().root
            roles = _listing(root)
            roles[role] = self._rotated(root, role, compromised)
            return sign(self._successor(root, roles))

    def sign_as_root(self, document: bytes) -> bytes:
        """The document with this installation's root signature: the step with which the root leaves it. Raises Refused and KeysUnusable."""
        root = self._newest_first().root
        self._standing(root, document)
        key = self._held_root_key(root)
        if key is None:
            raise KeysUnusable(
                f"none of the keys that are root in document {root.version} is in {self._folder}: `spinctl root sign` signs with a file"
            )
        return countersigned(document, RootDocument, key)

    def changes(self, document: bytes) -> list[str]:
        """What a document on its way changes, for who is about to sign or install it. Raises Refused and KeysUnusable."""
        found = self._standing(self._newest_first().root, document)
        return [*found.basis, *found.changes]

    def install(self, document: bytes, *, compromised: bool = False, shown_s: float = 0.0) -> TrustedRoot:
        """Puts a document in force that the roots signed elsewhere.

        Raises KeysUnusable for one that does not count, or names absent keys, NotShownYet as `rotate` does.
        """
        with locked(self._folder):
            loaded = self._newest_first()
            self._check_shown(loaded, _current_keys(self._counted(loaded.root, document)), shown_s)
            return self._install(loaded, document, compromised)

    def _standing(self, root: TrustedRoot, document: bytes) -> Standing:
        proposal = Proposal.of(document)
        try:
            return standing(root, proposal)
        except Refused as refused:
            raise KeysUnusable(f"{refused.why}: make the proposal again, from the document in force") from None

    def _check_shown(self, loaded: _Loaded, key_ids: set[bytes], shown_s: float) -> None:
        """Keys of the first document were shown from the beginning on. Files from the future, of a clock that was set back, count as old."""
        newer = [root for root in loaded.history[1:] if 0 <= time.time() - self._installed_at(root) < shown_s]
        known = {key.key_id for root in loaded.history if root not in newer for role in ROTATING_ROLES for key in root.keys(role)}
        late = [root for root in newer for role in ROTATING_ROLES for key in root.keys(role) if key.key_id in key_ids - known]
        if late:
            raise NotShownYet(min(shown_s, self._installed_at(late[0]) + shown_s - time.time()))

    def _installed_at(self, root: TrustedRoot) -> float:
        return (self._documents / _file_name(root.version)).stat().st_mtime

    def _rotated(self, root: TrustedRoot, role: Role.ValueType, compromised: bool) -> list[bytes]:
        old = root.keys(role)
        return [old[1].public, self._new_key(role).public] + ([] if compromised else [old[0].public])

    def _install(self, loaded: _Loaded, data: bytes, compromised: bool) -> TrustedRoot:
        """`compromised` revokes the keys that the document drops and that were current."""
        new = self._counted(loaded.root, data)
        roots = {key.key_id for key in loaded.root.keys(Role.ROLE_ROOT)}
        was_current = roots | {loaded.root.keys(role)[0].key_id for role in ROTATING_ROLES}
        listed = {key.key_id for role in (Role.ROLE_ROOT, *ROTATING_ROLES) for key in new.keys(role)}
        if compromised:
            self._revoke(loaded.revoked | (was_current - listed))
        write_durably(self._documents / _file_name(new.version), data, mode=0o644)
        # One generation stays for processes that look a second later; what is compromised goes, and so does a root's key that counts no more.
        self._forget(listed if compromised else listed | (was_current - roots))
        return self._newest_first().root

    def _counted(self, root: TrustedRoot, data: bytes) -> TrustedRoot:
        try:
            new = root.updated(data, self._clock())
            lacking = [_name(role) for role in ROTATING_ROLES if len(new.keys(role)) < 2]
        except Refused as refusal:
            raise KeysUnusable(f"the document does not count after {root.version}: {refusal.why}. See `spinctl root show`") from None
        if lacking:
            raise KeysUnusable(f"root document {new.version} lists no next key for {', '.join(lacking)}: nobody could know it before it signs")
        for role in ROTATING_ROLES:
            path = self._key_path(role, new.keys(role)[0].key_id)
            # A host may hold the keys of some services alone.
            if path.parent.is_dir() and not path.exists():
                raise KeysUnusable(f"root document {new.version} has {_name(role)} sign with a key that is not in {self._folder}: propose it here")
        return new

    def _root_key(self, root: TrustedRoot) -> SigningKey:
        key = self._held_root_key(root)
        if root.threshold(Role.ROLE_ROOT) > 1 or key is None:
            raise KeysUnusable(
                "the root is kept elsewhere: write the change with `spin-service keys propose`, have it signed with `spinctl root sign`, "
                "and put it in force with `spin-service keys install`"
            )
        return key

    def _held_root_key(self, root: TrustedRoot) -> SigningKey | None:
        """The first of the root's keys that is here."""
        held = (key.key_id for key in root.keys(Role.ROLE_ROOT) if self._key_path(Role.ROLE_ROOT, key.key_id).exists())
        found = next(held, None)
        return None if found is None else self._key(Role.ROLE_ROOT, found)

    def _newest_first(self) -> _Loaded:
        """What is on disk now, not what was a second ago."""
        self._looked_at = 0.0
        return self._current()

    def _successor(self, root: TrustedRoot, roles: Listing) -> RootDocument:
        return build_root_document(root.version + 1, self._clock() + ROOT_LIFE_MS, roles, root.threshold(Role.ROLE_ROOT))

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
        path = self._folder / "revoked"
        revoked = frozenset(bytes.fromhex(line) for line in path.read_text().split()) if path.exists() else frozenset()
        return _Loaded(tuple(documents), root, tuple(history), revoked)

    def _revoke(self, key_ids: frozenset[bytes]) -> None:
        write_durably(self._folder / "revoked", "".join(f"{key_id.hex()}\n" for key_id in sorted(key_ids)).encode(), mode=0o644)

    def _new_key(self, role: Role.ValueType) -> SigningKey:
        key = SigningKey.generate()
        write_durably(self._key_path(role, key.key_id), self.kek.wrap(key.seed, _aad(role, key.key_id)))
        return key

    def _key(self, role: Role.ValueType, key_id: bytes) -> SigningKey:
        if key_id not in self._private:
            self._private[key_id] = self._read_key(role, key_id)
        return self._private[key_id]

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

    def _forget(self, keep: set[bytes]) -> None:
        """Deletes private keys that sign no more."""
        for role in (Role.ROLE_ROOT, *ROTATING_ROLES):
            for path in (self._folder / _name(role)).glob("*.key"):
                if bytes.fromhex(path.stem) not in keep:
                    path.unlink()

    def _key_path(self, role: Role.ValueType, key_id: bytes) -> Path:
        return self._folder / _name(role) / f"{key_id.hex()}.key"


def keys_exist(folder: Path) -> bool:
    return (folder / "root-documents" / _file_name(1)).exists()


def version_of(document: bytes) -> int:
    return unverified(document, RootDocument).version


def _current_keys(root: TrustedRoot) -> set[bytes]:
    return {root.keys(role)[0].key_id for role in ROTATING_ROLES}


def _listing(root: TrustedRoot) -> Listing:
    return {role: [key.public for key in root.keys(role)] for role in (Role.ROLE_ROOT, *ROTATING_ROLES)}


def _name(role: Role.ValueType) -> str:
    return Role.Name(role).removeprefix("ROLE_").lower()


def _file_name(version: int) -> str:
    return f"{version:08d}.bin"


def _aad(role: Role.ValueType, key_id: bytes) -> bytes:
    return b"spin/key-file/v1\0" + _name(role).encode() + b"\0" + key_id


class SigningKeyFiles:
    """The private keys in a folder, for a move to another KEK."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self) -> list[Wrapped]:
        places = [(role, path) for role in (Role.ROLE_ROOT, *ROTATING_ROLES) for path in sorted((self._folder / _name(role)).glob("*.key"))]
        return [Wrapped(str(path), _aad(role, bytes.fromhex(path.stem)), path.read_bytes()) for role, path in places]

    async def save(self, moved: Sequence[tuple[Wrapped, bytes]]) -> None:
        for one, data in moved:
            write_durably(Path(one.name), data)
