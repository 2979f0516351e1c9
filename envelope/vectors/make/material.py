"""Keys, ids and times that every file uses: derived from names, worth nothing."""

from hashlib import sha256

from spin_envelope.keys import SigningKey

# 2026-01-01T00:00:00Z
NOW = 1767225600000
YEAR = 365 * 24 * 3600 * 1000


def seed(name: str) -> bytes:
    return sha256(b"spin/vectors/" + name.encode()).digest()


def key(name: str) -> SigningKey:
    return SigningKey.from_seed(seed(name))


def identifier(name: str) -> bytes:
    return seed(name)[:16]


ROOT, AUTH, COMPILER, SECRETS, AUDIT = (key(name) for name in ("root", "auth", "compiler", "secrets", "audit"))
IDENTITY, PAIRING, SESSION = (key(name) for name in ("identity", "pairing", "session"))
STRANGER = key("stranger")

WORKSPACE, RUNTIME, BOOT, NOTEBOOK, SESSION_ID = (identifier(name) for name in ("workspace", "runtime", "boot", "notebook", "session id"))
