"""The installation's own keys: one root, a current and a next key for each role, all encrypted by a key-encryption key."""

from spin_services.keys.kek import FileKek, Kek, KeysUnusable
from spin_services.keys.store import KeyStore, keys_exist

__all__ = ["FileKek", "Kek", "KeyStore", "KeysUnusable", "keys_exist"]
