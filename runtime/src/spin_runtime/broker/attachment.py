"""Attach: a client and the runtime prove themselves to each other. docs/protocol.md, section 4. Pure.

- A capability counts for one origin, one session key and this runtime, for five minutes at most. It is verified offline.
- The challenge comes from auth and is named in Hello, so that the client knows Hello to be newer than its own question.
- Only ClientAuth, by the session key over this very Hello, authenticates the client.
"""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

from spin_envelope.errors import Refused, RootExpired
from spin_envelope.keys import VerifyKey
from spin_envelope.signing import verify
from spin_runtime.broker.refusals import Denial, root_expired
from spin_runtime.broker.taint import Principal, principal_of
from spin_runtime.broker.trust import REVOKED, SKEW_MS, Trust
from spinapis.envelope.v1 import attach_pb2
from spinapis.envelope.v1.signed_pb2 import PublicKey
from spinapis.errors.v1 import reasons_pb2

CAPABILITY_VALIDITY_MS = 5 * 60 * 1000
REFUSED_TEXT = "The capability does not verify, has expired, or is for another runtime, origin or client: request a new one."
NONCE = range(16, 65)


@dataclass(frozen=True)
class ClientHello:
    capability: bytes
    challenge: bytes
    nonce_b: bytes
    session_key: bytes
    # The socket's Origin; empty for a client that is not a browser.
    origin: str


@dataclass(frozen=True)
class Known:
    """What the broker knows of a client: its capability's words, and what its Hello showed."""

    session_id: bytes
    notebook_id: bytes
    user_id: str
    # Of whoever acts for the user, and of the runs whose questions they answer.
    principal: Principal
    scopes: frozenset[int]
    # Of the capability: until when ClientAuth may come.
    expires_at_ms: int
    # What the log must be proved to have before programs of this attachment run; 0 demands nothing.
    log_size: int = 0
    # Where kernels that it starts may connect to, at most: nowhere, where the capability says nothing.
    egress: attach_pb2.EgressPolicy = field(default_factory=attach_pb2.EgressPolicy)


@dataclass(frozen=True)
class Pending:
    """Between Hello and ClientAuth."""

    known: Known
    hello_digest: bytes
    origin: str
    session_key: bytes


@dataclass(frozen=True)
class Checked:
    known: Known
    challenge_digest: bytes


def check_client_hello(hello: ClientHello, trust: Trust, now_ms: int) -> Checked:
    """Who the client claims to be, as far as auth vouches for it. Raises Denial."""
    if trust.identity_revoked:
        raise Denial(reasons_pb2.ERROR_REASON_RUNTIME_REVOKED, REVOKED)
    if hello.origin and hello.origin not in trust.grant.allowed_origins:
        raise Denial(reasons_pb2.ERROR_REASON_ORIGIN_REFUSED, "This origin is not on the runtime's list.", f"origin {hello.origin!r}")
    try:
        VerifyKey(hello.session_key)
        capability = trust.root.verify(hello.capability, attach_pb2.CapabilityToken, now_ms, trust.revoked).message
        challenge = trust.root.verify(hello.challenge, attach_pb2.Challenge, now_ms, trust.revoked)
    except RootExpired as expired:
        raise root_expired(expired) from None
    except Refused as refused:
        raise _refused(refused.why) from None
    _check_capability(capability, hello, trust, now_ms)
    _check_challenge(challenge.message, capability, now_ms)
    known = Known(
        session_id=capability.session_id,
        notebook_id=capability.notebook_id,
        user_id=capability.user_id,
        principal=principal_of(capability),
        scopes=frozenset(capability.scopes),
        expires_at_ms=capability.expires_at_ms,
        log_size=trust.log_shown,
        egress=capability.egress,
    )
    return Checked(known, challenge.digest)


def _check_capability(capability: attach_pb2.CapabilityToken, hello: ClientHello, trust: Trust, now_ms: int) -> None:
    if (capability.workspace_id, capability.runtime_id) != (trust.grant.workspace_id, trust.grant.runtime_id):
        raise _refused("a capability for another runtime")
    if capability.origin != hello.origin:
        raise _refused(f"a capability for origin {capability.origin!r}, on a socket from {hello.origin!r}")
    if not hmac.compare_digest(capability.cnf, sha256(hello.session_key).digest()):
        raise _refused("a capability for another session key")
    if capability.expires_at_ms - capability.issued_at_ms > CAPABILITY_VALIDITY_MS:
        raise _refused("a capability that is valid for more than five minutes")
    if now_ms < capability.issued_at_ms - SKEW_MS or now_ms > capability.expires_at_ms + SKEW_MS:
        raise _refused(f"a capability issued at {capability.issued_at_ms}, at {now_ms} by the runtime's clock")
    if len(hello.nonce_b) not in NONCE or len(capability.session_id) != 16:
        raise _refused("a nonce or a session id of a wrong length")
    if attach_pb2.SCOPE_VIEW not in capability.scopes and attach_pb2.SCOPE_RUN not in capability.scopes:
        raise _refused("a capability without a scope")


def _check_challenge(challenge: attach_pb2.Challenge, capability: attach_pb2.CapabilityToken, now_ms: int) -> None:
    named = (challenge.workspace_id, challenge.runtime_id, challenge.session_id, challenge.user_id)
    if named != (capability.workspace_id, capability.runtime_id, capability.session_id, capability.user_id):
        raise _refused("challenge and capability contradict each other")
    if not -SKEW_MS <= now_ms - challenge.issued_at_ms <= CAPABILITY_VALIDITY_MS + SKEW_MS:
        raise _refused(f"a challenge issued at {challenge.issued_at_ms}, at {now_ms} by the runtime's clock")


def check_client_auth(pending: Pending, client_auth: bytes, now_ms: int) -> Known:
    """The client is the one that the capability names. Raises Denial."""
    try:
        auth = verify(client_auth, attach_pb2.ClientAuth, [VerifyKey(pending.session_key)]).message
    except Refused as refused:
        raise _refused(refused.why) from None
    if not hmac.compare_digest(auth.hello_digest, pending.hello_digest):
        raise _refused("ClientAuth answers another Hello")
    if auth.origin != pending.origin:
        raise _refused("ClientAuth names another origin")
    if now_ms > pending.known.expires_at_ms + SKEW_MS:
        raise _refused("the capability expired before ClientAuth came")
    return pending.known


def _refused(why: str) -> Denial:
    return Denial(reasons_pb2.ERROR_REASON_CAPABILITY_INVALID, REFUSED_TEXT, why)


@dataclass(frozen=True)
class Presence:
    """What the runtime shows of itself at the moment of an attachment."""

    boot_id: bytes
    boot_hpke_key: PublicKey
    nonce_r: bytes
    clock_ms: int
    bundle_version: int
    last_receipt_seq: int


def hello(said: ClientHello, checked: Checked, trust: Trust, presence: Presence) -> attach_pb2.Hello:
    """The runtime's answer to a client, unsigned."""
    return attach_pb2.Hello(
        workspace_id=trust.grant.workspace_id,
        runtime_id=trust.grant.runtime_id,
        boot_id=presence.boot_id,
        boot_hpke_key=presence.boot_hpke_key,
        challenge_digest=checked.challenge_digest,
        nonce_b=said.nonce_b,
        nonce_r=presence.nonce_r,
        origin=said.origin,
        clock_ms=presence.clock_ms,
        bundle_version=presence.bundle_version,
        trust_version=trust.state.version,
        root_version=trust.root.version,
        last_receipt_seq=presence.last_receipt_seq,
        checkpoint=trust.log.note,
        session_id=checked.known.session_id,
    )


def only_older(denial: Denial) -> bool:
    """Two clients may fetch trust states at once and arrive in the other order: the newer one stands. A checkpoint that contradicts the one
    held is another matter.
    """
    return denial.reason == reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED and denial.metadata.get("document") != "checkpoint"
