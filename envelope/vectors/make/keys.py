"""Public keys: which pass validation, and how they are named."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from make import material
from spin_envelope.curve25519 import LOW_ORDER_U, LOW_ORDER_Y, P
from spin_envelope.digests import fingerprint, key_id


def make() -> dict[str, Any]:
    return {
        "ed25519": {"accepted": [_named(name) for name in ("root", "auth", "identity")], "refused": _refused_ed25519()},
        "x25519": {"accepted": [{"name": "generated", "public": _x25519("recipient").hex()}], "refused": _refused_x25519()},
        "key_ids": [
            {"algorithm": algorithm, "public": material.AUTH.public.hex(), "key_id": key_id(algorithm, material.AUTH.public).hex()}
            for algorithm in (1, 257, 258)
        ],
    }


def _named(name: str) -> dict[str, str]:
    key = material.key(name)
    return {
        "name": name,
        "seed": key.seed.hex(),
        "public": key.public.hex(),
        "key_id": key.key_id.hex(),
        "fingerprint": fingerprint(key.public),
        "signature_over_empty": key.sign(b"").hex(),
    }


def _x25519(name: str) -> bytes:
    return X25519PrivateKey.from_private_bytes(material.seed(name)).public_key().public_bytes_raw()


def _refused_ed25519() -> list[dict[str, str]]:
    cases = {f"low_order_{place}{sign}": _point(y, bool(sign)) for place, y in enumerate(sorted(LOW_ORDER_Y)) for sign in ("", "_negative")}
    return _cases(
        cases
        | {
            "not_canonical_p": _point(P, False),
            "not_canonical_p_plus_3": _point(P + 3, False),
            "not_canonical_largest": b"\xff" * 32,
            "not_on_the_curve": _point(2, False),
            "too_short": material.AUTH.public[:31],
            "too_long": material.AUTH.public + b"\0",
            "empty": b"",
        }
    )


def _refused_x25519() -> list[dict[str, str]]:
    cases = {f"low_order_{place}": _point(u, False) for place, u in enumerate(sorted(LOW_ORDER_U))}
    return _cases(
        cases
        | {
            "not_canonical_p": _point(P, False),
            "not_canonical_p_plus_9": _point(P + 9, False),
            "not_canonical_high_bit": _point(9, True),
            "too_short": _x25519("recipient")[:31],
            "too_long": _x25519("recipient") + b"\0",
            "empty": b"",
        }
    )


def _point(coordinate: int, sign: bool) -> bytes:
    return (coordinate | sign << 255).to_bytes(32, "little")


def _cases(cases: dict[str, bytes]) -> list[dict[str, str]]:
    return [{"name": name, "public": public.hex()} for name, public in cases.items()]
