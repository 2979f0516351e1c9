"""RootDocument: chains of versions that count, and the ways in which one does not."""

from collections.abc import Mapping, Sequence
from typing import Any

from make import material as m
from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.root import build_root_document
from spin_envelope.signing import sign, unverified
from spinapis.envelope.v1.signed_pb2 import KEY_ALGORITHM_HPKE_X25519, PublicKey
from spinapis.envelope.v1.trust_pb2 import ROLE_AUDIT, ROLE_AUTH, ROLE_COMPILER, ROLE_ROOT, ROLE_SECRETS, RootDocument, TrustState

SERVICES = {ROLE_AUTH: [m.AUTH], ROLE_COMPILER: [m.COMPILER], ROLE_SECRETS: [m.SECRETS], ROLE_AUDIT: [m.AUDIT]}
ROOT_2, ROOT_3 = m.key("root 2"), m.key("root 3")


def document(
    version: int, roots: Sequence[SigningKey] = (m.ROOT,), threshold: int = 1, expires: int = m.NOW + m.YEAR, **services: Any
) -> RootDocument:
    roles: Mapping[Any, Sequence[SigningKey]] = {ROLE_ROOT: roots} | SERVICES | services.get("roles", {})
    return build_root_document(version, expires, {role: [key.public for key in keys] for role, keys in roles.items()}, threshold)


FIRST = sign(document(1), m.ROOT)


def make() -> dict[str, Any]:
    return {"accepted": _accepted(), "refused": [*_refused_chains(), *_refused_documents()]}


def _case(name: str, *documents: bytes, digest: bytes | None = None, now: int = m.NOW) -> dict[str, Any]:
    pin = (digest or signed_digest(documents[0])).hex()
    return {"name": name, "documents": [data.hex() for data in documents], "digest": pin, "now_ms": now}


def _accepted() -> list[dict[str, Any]]:
    rotated_auth = sign(document(2, roles={ROLE_AUTH: [m.AUTH, m.key("auth 2")]}), m.ROOT)
    rotated_root = sign(document(2, [ROOT_2]), m.ROOT, ROOT_2)
    three = [m.ROOT, ROOT_2, ROOT_3]
    chains = {
        "first": [FIRST],
        "auth_key_rotated": [FIRST, rotated_auth],
        "root_key_rotated": [FIRST, rotated_root, sign(document(3, [ROOT_2]), ROOT_2)],
        "expired_step_on_the_way": [FIRST, sign(document(2, expires=m.NOW - 1), m.ROOT), sign(document(3), m.ROOT)],
        "two_of_three": [sign(document(1, three, 2), m.ROOT, ROOT_3), sign(document(2, three, 2), ROOT_2, ROOT_3)],
        "one_more_signature_by_a_stranger": [sign(document(1), m.STRANGER, m.ROOT)],
    }
    last = {name: unverified(documents[-1], RootDocument) for name, documents in chains.items()}
    return [
        _case(name, *documents)
        | {
            "version": last[name].version,
            "last_digest": signed_digest(documents[-1]).hex(),
            "auth_key_ids": [kid.hex() for role in last[name].roles if role.role == ROLE_AUTH for kid in role.key_ids],
        }
        for name, documents in chains.items()
    ]


def _refused_chains() -> list[dict[str, Any]]:
    second = sign(document(2), m.ROOT)
    return [
        _case("another_digest", FIRST, digest=m.seed("root digest")),
        _case("expired", FIRST, now=m.NOW + m.YEAR),
        _case("last_one_expired", FIRST, second, now=m.NOW + m.YEAR),
        _case("not_signed", sign(document(1))),
        _case("signed_by_a_stranger", sign(document(1), m.STRANGER)),
        _case("signed_by_auth", sign(document(1), m.AUTH)),
        _case("next_signed_by_new_keys_only", FIRST, sign(document(2, [ROOT_2]), ROOT_2)),
        _case("next_signed_by_old_keys_only", FIRST, sign(document(2, [ROOT_2]), m.ROOT)),
        _case("threshold_of_the_next_not_reached", FIRST, sign(document(2, [m.ROOT, ROOT_2], 2), m.ROOT)),
        _case("threshold_reached_by_one_key_twice", sign(document(1, [m.ROOT, ROOT_2], 2), m.ROOT, m.ROOT)),
        _case("version_skipped", FIRST, sign(document(3), m.ROOT)),
        _case("version_repeated", FIRST, FIRST),
        _case("version_before", FIRST, second, FIRST),
        _case("another_payload_type", sign(TrustState(version=1), m.ROOT), digest=m.seed("root digest")),
        _case("empty", b"", digest=m.seed("root digest")),
    ]


def _refused_documents() -> list[dict[str, Any]]:
    """Documents that are signed well and make no sense."""
    changed = {name: document(1) for name in CHANGES}
    for name, change in CHANGES.items():
        change(changed[name])
    return [_case(name, sign(made, m.ROOT)) for name, made in changed.items()]


def _first_key_for_the_second_role(made: RootDocument) -> None:
    made.roles[1].key_ids[0] = made.roles[0].key_ids[0]


def _without_root(made: RootDocument) -> None:
    del made.keys[0], made.roles[0]


CHANGES: dict[str, Any] = {
    "version_zero": lambda made: made.ClearField("version"),
    "threshold_zero": lambda made: made.roles[0].ClearField("threshold"),
    "threshold_above_the_keys": lambda made: setattr(made.roles[1], "threshold", 2),
    "role_without_keys": lambda made: made.roles.add(role=6, threshold=1),
    "role_given_twice": lambda made: setattr(made.roles[2], "role", ROLE_AUTH),
    "root_not_listed": _without_root,
    "key_of_two_roles": lambda made: made.roles[1].key_ids.append(m.ROOT.key_id),
    "key_id_given_twice": lambda made: made.roles[0].key_ids.append(m.ROOT.key_id),
    "key_of_two_roles_and_another_of_none": _first_key_for_the_second_role,
    "key_id_without_a_key": lambda made: made.roles[0].key_ids.append(m.STRANGER.key_id),
    "key_without_a_role": lambda made: made.keys.add(algorithm=1, public_key=m.STRANGER.public),
    "key_given_twice": lambda made: made.keys.append(made.keys[0]),
    "key_of_low_order": lambda made: setattr(made.keys[0], "public_key", bytes(32)),
    "key_of_another_algorithm": lambda made: made.keys[0].CopyFrom(PublicKey(algorithm=KEY_ALGORITHM_HPKE_X25519, public_key=m.ROOT.public)),
}
