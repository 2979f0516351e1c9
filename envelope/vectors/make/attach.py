"""Enrolment and attachment, as a client verifies them: whole scenarios, each with one thing changed."""

from collections.abc import Sequence
from typing import Any

from make import material as m
from make.roots import FIRST
from spin_envelope.digests import fingerprint, signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.signing import sign
from spinapis.envelope.v1.attach_pb2 import Challenge, Hello
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, RuntimeConfirmation

ORIGIN = "https://spin.example.com"
OTHER = m.identifier("other")


def grant(by: SigningKey = m.AUTH, **changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "workspace_id": m.WORKSPACE,
        "runtime_id": m.RUNTIME,
        "identity_key": m.IDENTITY.public,
        "nonce": m.seed("nonce"),
        "request_digest": m.seed("request digest"),
        "allowed_origins": [ORIGIN],
        "allowed_hosts": ["runtime.example.com:8888"],
        "suite": 2,
        "issued_at_ms": m.NOW,
    }
    return sign(EnrolGrant(**fields | changed), by)


GRANT = grant()


def confirmation(by: SigningKey = m.AUTH, **changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "workspace_id": m.WORKSPACE,
        "runtime_id": m.RUNTIME,
        "identity_key": m.IDENTITY.public,
        "grant_digest": signed_digest(GRANT),
        "confirmed_by": "ada",
        "confirmed_at_ms": m.NOW,
    }
    return sign(RuntimeConfirmation(**fields | changed), by)


CHALLENGE = sign(
    Challenge(nonce=m.seed("challenge"), issued_at_ms=m.NOW, workspace_id=m.WORKSPACE, runtime_id=m.RUNTIME, session_id=m.SESSION_ID), m.AUTH
)
NONCE_B = m.seed("nonce b")


def hello(by: Sequence[SigningKey] = (m.IDENTITY,), **changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "workspace_id": m.WORKSPACE,
        "runtime_id": m.RUNTIME,
        "boot_id": m.BOOT,
        "challenge_digest": signed_digest(CHALLENGE),
        "nonce_b": NONCE_B,
        "nonce_r": m.seed("nonce r"),
        "origin": ORIGIN,
        "clock_ms": m.NOW,
        "session_id": m.SESSION_ID,
    }
    return sign(Hello(**fields | changed), *by)


def make() -> dict[str, Any]:
    return {
        "root": FIRST.hex(),
        "now_ms": m.NOW,
        "workspace_id": m.WORKSPACE.hex(),
        "runtime_id": m.RUNTIME.hex(),
        "session_id": m.SESSION_ID.hex(),
        "origin": ORIGIN,
        "identity_key": m.IDENTITY.public.hex(),
        "fingerprint": fingerprint(m.IDENTITY.public),
        "challenge": CHALLENGE.hex(),
        "nonce_b": NONCE_B.hex(),
        "enrolment": {"accepted": _enrolments_accepted(), "refused": _enrolments_refused()},
        "hello": {"accepted": [{"name": "right", "hello": hello().hex()}], "refused": _hellos_refused()},
    }


def _enrolment(name: str, granted: bytes, confirmed: bytes) -> dict[str, str]:
    return {"name": name, "enrol_grant": granted.hex(), "confirmation": confirmed.hex()}


def _enrolments_accepted() -> list[dict[str, Any]]:
    return [
        _enrolment("confirmed", GRANT, confirmation()) | {"confirmed": True},
        _enrolment("not_confirmed_yet", GRANT, b"") | {"confirmed": False},
    ]


def _enrolments_refused() -> list[dict[str, str]]:
    cases = {
        "grant_missing": (b"", b""),
        "grant_signed_by_a_stranger": (grant(m.STRANGER), b""),
        "grant_signed_by_the_compiler": (grant(m.COMPILER), b""),
        "grant_of_another_workspace": (grant(workspace_id=OTHER), b""),
        "grant_of_another_runtime": (grant(runtime_id=OTHER), b""),
        "grant_of_a_low_order_identity": (grant(identity_key=bytes(32)), b""),
        "confirmation_as_the_grant": (confirmation(), b""),
        "confirmation_signed_by_a_stranger": (GRANT, confirmation(m.STRANGER)),
        "confirmation_of_another_workspace": (GRANT, confirmation(workspace_id=OTHER)),
        "confirmation_of_another_runtime": (GRANT, confirmation(runtime_id=OTHER)),
        "confirmation_of_another_identity": (GRANT, confirmation(identity_key=m.STRANGER.public)),
        "confirmation_of_another_grant": (GRANT, confirmation(grant_digest=m.seed("grant digest"))),
    }
    return [_enrolment(name, *documents) for name, documents in cases.items()]


def _hellos_refused() -> list[dict[str, str]]:
    cases = {
        "empty": b"",
        "not_signed": hello(by=()),
        "signed_by_a_stranger": hello(by=[m.STRANGER]),
        "signed_by_auth": hello(by=[m.AUTH]),
        "of_another_workspace": hello(workspace_id=OTHER),
        "of_another_runtime": hello(runtime_id=OTHER),
        "of_another_session": hello(session_id=OTHER),
        "for_another_challenge": hello(challenge_digest=m.seed("challenge digest")),
        "for_another_nonce": hello(nonce_b=m.seed("nonce of another")),
        "for_another_origin": hello(origin=ORIGIN + ".evil.example"),
        "for_no_origin": hello(origin=""),
    }
    return [{"name": name, "hello": data.hex()} for name, data in cases.items()]
