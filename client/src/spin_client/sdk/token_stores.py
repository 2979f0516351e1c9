"""Where a sign-in is kept: the system's keyring where one works, else a file that only its owner may read.

A stored sign-in is one JSON text per platform address. It is never printed, and `repr` leaves its secrets out.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import keyring
from keyring.errors import KeyringError

from spin_client.sdk.private_files import config_folder, write_private

_SERVICE = "spin"


@dataclass(frozen=True)
class StoredSignIn:
    """Either a person's tokens or a machine's API key, with the access token that it was last traded for."""

    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    access_expires_at_ms: int = 0
    api_key: str = field(default="", repr=False)
    email: str = ""


class TokenStore(Protocol):
    @property
    def lock_file(self) -> Path | None:
        """What processes that share this store lock while they refresh; None when it is not shared."""

    def load(self, url: str) -> StoredSignIn | None: ...
    def save(self, url: str, sign_in: StoredSignIn) -> None: ...
    def delete(self, url: str) -> None: ...


class MemoryStore:
    """For one process: tests, and programs that sign in at each start."""

    lock_file: Path | None = None

    def __init__(self) -> None:
        self._kept: dict[str, StoredSignIn] = {}

    def load(self, url: str) -> StoredSignIn | None:
        return self._kept.get(url)

    def save(self, url: str, sign_in: StoredSignIn) -> None:
        self._kept[url] = sign_in

    def delete(self, url: str) -> None:
        self._kept.pop(url, None)


class FileStore:
    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder or config_folder()) / "sign-ins"

    @property
    def lock_file(self) -> Path | None:
        return self._folder / ".lock"

    def load(self, url: str) -> StoredSignIn | None:
        try:
            return _parsed(self._path(url).read_text())
        except FileNotFoundError:
            return None

    def save(self, url: str, sign_in: StoredSignIn) -> None:
        write_private(self._path(url), json.dumps(asdict(sign_in)).encode())

    def delete(self, url: str) -> None:
        self._path(url).unlink(missing_ok=True)

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.json"


class KeyringStore:
    """The keyring holds the secrets; a keyring that stops working is said by its own error, never by a silent copy elsewhere."""

    @property
    def lock_file(self) -> Path | None:
        return config_folder() / "sign-ins" / ".lock"

    def load(self, url: str) -> StoredSignIn | None:
        text = keyring.get_password(_SERVICE, url)
        return _parsed(text) if text else None

    def save(self, url: str, sign_in: StoredSignIn) -> None:
        keyring.set_password(_SERVICE, url, json.dumps(asdict(sign_in)))

    def delete(self, url: str) -> None:
        try:
            keyring.delete_password(_SERVICE, url)
        except KeyringError:
            # Most backends answer so when there is nothing to delete.
            return


def default_store() -> TokenStore:
    """SPIN_TOKEN_STORE=keyring|file decides; unset, the keyring is used when it can store and give back a value."""
    choice = os.environ.get("SPIN_TOKEN_STORE", "")
    if choice == "keyring" or (choice != "file" and _keyring_works()):
        return KeyringStore()
    return FileStore()


def _keyring_works() -> bool:
    if keyring.get_keyring().priority < 1:
        # The "fail" and "null" backends, and those that their authors advise against.
        return False
    try:
        keyring.set_password(_SERVICE, "probe", "works")
        return bool(keyring.get_password(_SERVICE, "probe") == "works")
    except (KeyringError, OSError, RuntimeError):
        return False


def _parsed(text: str) -> StoredSignIn | None:
    """A text that is not ours, or damaged, counts as no sign-in: the person signs in again."""
    try:
        values = json.loads(text)
        return StoredSignIn(**values)
    except (ValueError, TypeError):
        return None
