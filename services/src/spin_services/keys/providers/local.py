"""file:///path and env:NAME: the KEK is in the process. AES-GCM over 32 bytes takes microseconds, so it runs in place."""

from collections.abc import Mapping
from pathlib import Path

from spin_services.keys.kek import FileKek, Kek, KeysUnusable, MemoryKek, key_bytes


class LocalKek:
    """A KEK in the process; `kek` itself is for keys that must open without waiting."""

    def __init__(self, uri: str, kek: Kek) -> None:
        self.uri = uri
        self.kek = kek

    async def wrap(self, key: bytes, aad: bytes) -> bytes:
        return self.kek.wrap(key, aad)

    async def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        return self.kek.unwrap(wrapped, aad)

    async def close(self) -> None:
        return None


def in_file(uri: str, path: Path) -> LocalKek:
    return LocalKek(uri, FileKek(path))


def in_environment(uri: str, name: str, environment: Mapping[str, str]) -> LocalKek:
    """Raises KeysUnusable."""
    text = environment.get(name, "")
    if not text:
        raise KeysUnusable(f"SPIN_KEK names the environment variable {name}, which is empty: set it to 64 hexadecimal digits")
    where = f"the key-encryption key in the environment variable {name}"
    if len(text.strip()) != 64:
        raise KeysUnusable(f"{where} is not 64 hexadecimal digits: `openssl rand -hex 32` makes some")
    return LocalKek(uri, MemoryKek(key_bytes(text.encode(), where), where))
