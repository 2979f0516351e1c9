"""Which 32 bytes count as public keys on Curve25519. docs/protocol.md, section 1.

The library takes low-order points, other spellings of the same point, and Ed25519 keys that are no point at all. A low-order
Ed25519 key lets one signature pass for many messages, a low-order X25519 key makes the shared secret known, and two spellings of a
key have two key ids. All are public values, so nothing here needs constant time.
"""

from spin_envelope.errors import Refused

# RFC 7748, section 4.1, and RFC 8032, section 5.1.
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P

# The u of every point whose order divides 8, on the curve and on its twist.
LOW_ORDER_U = frozenset(
    {
        0,
        1,
        P - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)
# The y of every point whose order divides 8.
LOW_ORDER_Y = frozenset(
    {
        0,
        1,
        P - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)


def check_ed25519(public: bytes) -> None:
    """Raises Refused unless `public` is the canonical encoding (RFC 8032, section 5.1.3) of a point outside the small subgroup."""
    y = _integer(public) & (2**255 - 1)
    if y >= P:
        raise Refused("an Ed25519 key that is not canonical")
    if y in LOW_ORDER_Y:
        raise Refused("an Ed25519 key of low order")
    # x^2 = (y^2 - 1) / (d y^2 + 1) has a root if and only if the product of the two does (Euler's criterion).
    if pow((y * y - 1) * (D * y * y + 1), (P - 1) // 2, P) != 1:
        raise Refused("an Ed25519 key that is not on the curve")


def check_x25519(public: bytes) -> None:
    """Raises Refused unless `public` is a canonical u-coordinate (RFC 7748, section 5) that is not of low order."""
    u = _integer(public)
    if u >= P:
        raise Refused("an X25519 key that is not canonical")
    if u in LOW_ORDER_U:
        raise Refused("an X25519 key of low order")


def _integer(public: bytes) -> int:
    if len(public) != 32:
        raise Refused(f"a key of {len(public)} bytes")
    return int.from_bytes(public, "little")
