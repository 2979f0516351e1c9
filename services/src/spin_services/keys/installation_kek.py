"""The KEK of the installation's own keys: always in the process, since signing and logging cannot wait for a key service.

Rules: a KEK that is in the process already is used as it is; one behind a key service unwraps a key of the installation's own once, at the
start; that key is in `installation.key` in the keys' folder, never bare.
"""

import os
from pathlib import Path

from spin_services.keys.files import create_private
from spin_services.keys.kek import KEY_BYTES, FileKek, Kek, KeysUnusable, MemoryKek
from spin_services.keys.providers import KekProvider
from spin_services.keys.providers.local import LocalKek

FILE = "installation.key"
AAD = b"spin/installation-key/v1"


async def installation_kek(provider: KekProvider, folder: Path, *, create: bool = False) -> Kek:
    """Raises KeysUnusable. With `create`, makes what is missing."""
    if isinstance(provider, LocalKek):
        if create and isinstance(provider.kek, FileKek):
            provider.kek.create()
        return provider.kek
    path = folder / FILE
    if create and not path.exists():
        create_private(path, await provider.wrap(os.urandom(KEY_BYTES), AAD))
    try:
        wrapped = path.read_bytes()
    except OSError as error:
        raise KeysUnusable(
            f"the installation's key {path} cannot be read: {error.strerror}; `spin-service keys init` makes a new installation's"
        ) from None
    return MemoryKek(await provider.unwrap(wrapped, AAD), f"the installation's key {path}")
