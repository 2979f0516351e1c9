"""Signing in at a real OpenID Connect provider over HTTP, and providers that lie."""

import asyncio
import gzip
import resource
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from spinapis.auth.v1 import sign_in_pb2 as pb
from tests.fakes.installation import refused
from tests.fakes.oidc_browser import ADA, CALLBACK, consent, finished, person_at, running, settings, started, through

FLOOD = 128 * 1024 * 1024


async def invited(auth: Any, email: str = "ada@example.org") -> Any:
    owner = await auth.owner()
    return await auth.invite(await auth.found(owner), owner, "editor", email)


async def test_the_page_is_told_which_providers_there_are(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider))
    methods = await auth.sign_in.ListSignInMethods(pb.ListSignInMethodsRequest())
    assert [(one.id, one.display_name) for one in methods.oidc_providers] == [("corp", "Corporate")]


async def test_an_invited_person_signs_in_and_stays_the_same_person(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider))
    await person_at(provider, "ada-1", ADA)
    person = await invited(auth)
    answer = await through(auth, "ada-1")
    assert answer.user.id == person.id and answer.tokens.refresh_token
    # From now on the subject counts, whatever the e-mail says.
    await person_at(provider, "ada-1", ADA | {"email": "new@example.org"})
    assert (await through(auth, "ada-1")).user.id == person.id


async def test_the_request_is_a_code_flow_with_pkce_state_and_nonce(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider))
    first, second = await started(auth), await started(auth)
    queries = [parse_qs(urlsplit(start.authorization_url).query) for start in (first, second)]
    assert (queries[0]["response_type"], queries[0]["code_challenge_method"], queries[0]["redirect_uri"]) == (["code"], ["S256"], [CALLBACK])
    for secret in ("state", "nonce", "code_challenge"):
        assert queries[0][secret] != queries[1][secret] and len(queries[0][secret][0]) >= 43


async def test_strangers_stay_out_unless_the_door_is_open(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider))
    await person_at(provider, "eve", {"email": "eve@example.org", "email_verified": True})
    with refused() as refusal:
        await through(auth, "eve")
    assert refusal.reason == "OIDC_FAILED"
    assert refusal.error is not None and refusal.error.metadata["provider"] == "corp"


async def test_an_open_door_makes_accounts(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider, SPIN_OIDC_CORP_SIGN_UP="open"))
    await person_at(provider, "ada-1", ADA)
    user = (await through(auth, "ada-1")).user
    assert (user.email, user.display_name, user.is_admin) == ("ada@example.org", "Ada Lovelace", False)


@pytest.mark.parametrize("claims", [{"email": "owner@localhost", "email_verified": False}, {"email": "owner@localhost"}, {}])
async def test_an_unverified_email_opens_no_account(installation: Any, auth_class: Any, provider: str, claims: dict[str, Any]) -> None:
    auth = await running(installation, auth_class, settings(provider, SPIN_OIDC_CORP_SIGN_UP="open"))
    await person_at(provider, "eve", {"email": "", "email_verified": False} | claims)
    with refused() as refusal:
        await through(auth, "eve")
    assert refusal.reason == "OIDC_FAILED"


async def test_a_state_is_used_once_and_not_for_long(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider, SPIN_OIDC_CORP_SIGN_UP="open"))
    await person_at(provider, "ada-1", ADA)
    start = await started(auth)
    back = await consent(start.authorization_url, "ada-1")
    await finished(auth, back["state"], back["code"])
    for state in (back["state"], "invented", ""):
        with refused() as refusal:
            await finished(auth, state, back["code"])
        assert refusal.reason == "OIDC_FAILED"
    late = await started(auth)
    back = await consent(late.authorization_url, "ada-1")
    installation.clock.advance(601)
    with refused() as refusal:
        await finished(auth, back["state"], back["code"])
    assert refusal.reason == "OIDC_FAILED"


async def test_a_code_of_another_sign_in_is_worth_nothing(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider, SPIN_OIDC_CORP_SIGN_UP="open"))
    await person_at(provider, "ada-1", ADA)
    victim, attacker = await started(auth), await started(auth)
    stolen = await consent(victim.authorization_url, "ada-1")
    with refused() as refusal:
        await finished(auth, attacker.state, stolen["code"])
    assert refusal.reason == "OIDC_FAILED"


async def test_redirects_go_to_configured_addresses_alone(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider))
    for address in ("https://evil.example.org/sign-in/callback", f"{CALLBACK}/", f"{CALLBACK}?x=1", ""):
        with refused() as refusal:
            await started(auth, redirect_uri=address)
        assert refusal.reason == "INVALID_ARGUMENT"
    with refused() as refusal:
        await started(auth, provider_id="other")
    assert refusal.reason == "NOT_FOUND"


async def test_a_provider_that_does_not_answer(installation: Any, auth_class: Any) -> None:
    auth = await running(installation, auth_class, settings("http://localhost:9"))
    with refused() as refusal:
        await started(auth)
    assert refusal.reason == "OIDC_FAILED"


class LyingProvider:
    """A provider whose ID tokens and metadata a test bends."""

    def __init__(self) -> None:
        self.key = generate_private_key(65537, 2048)
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.algorithm, self.signing_key = "RS256", self.key
        self.issuer = ""
        self.nonce = ""
        self.asked = 0
        # When set, answers at the token endpoint never end; how many bytes left.
        self.endless = False
        self.sent = 0
        # When set, the token endpoint's answer is this, packed so.
        self.packed: tuple[str, bytes] = ("", b"")

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self.discovery)
        app.router.add_get("/jwks", self.jwks)
        app.router.add_post("/token", self.token)
        return app

    async def discovery(self, _request: web.Request) -> web.Response:
        usual = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", "token_endpoint": f"{self.issuer}/token"}
        return web.json_response(usual | {"authorization_endpoint": f"{self.issuer}/authorize"} | self.metadata)

    async def jwks(self, _request: web.Request) -> web.Response:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return web.json_response({"keys": [key | {"kid": "k1", "use": "sig", "alg": "RS256"}]})

    async def flood(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):
            while self.sent < FLOOD:
                await answer.write(b" " * 65536)
                self.sent += 65536
        return answer

    async def token(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.endless:
            return await self.flood(request)
        if self.packed[0]:
            return web.Response(body=self.packed[1], headers={"content-encoding": self.packed[0]}, content_type="application/json")
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "spin", "sub": "ada-1", "iat": now, "exp": now + 300, "nonce": self.nonce} | ADA | self.claims
        secret: Any = self.signing_key if self.algorithm != "none" else None
        return web.json_response({"id_token": jwt.encode(claims, secret, algorithm=self.algorithm, headers={"kid": "k1"})})


@pytest.fixture
async def lying() -> AsyncIterator[LyingProvider]:
    provider = LyingProvider()
    runner = web.AppRunner(provider.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield provider
    await runner.cleanup()


async def attempt(auth: Any, lying: LyingProvider) -> Any:
    start = await started(auth)
    lying.nonce = lying.nonce or parse_qs(urlsplit(start.authorization_url).query)["nonce"][0]
    return await finished(auth, start.state, "code")


async def test_the_lying_provider_is_believed_when_it_does_not_lie(installation: Any, auth_class: Any, lying: LyingProvider) -> None:
    auth = await running(installation, auth_class, settings(lying.issuer, SPIN_OIDC_CORP_SIGN_UP="open"))
    assert (await attempt(auth, lying)).user.email == "ada@example.org"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example.org"},
        {"aud": "another-client"},
        {"aud": ["spin", "another-client"]},
        {"aud": ["spin", "another-client"], "azp": "another-client"},
        {"exp": 1},
        {"iat": 4_000_000_000},
        {"nonce": "another"},
        {"nonce": ""},
        {"sub": ""},
    ],
)
async def test_id_tokens_for_others(installation: Any, auth_class: Any, lying: LyingProvider, claims: dict[str, Any]) -> None:
    auth = await running(installation, auth_class, settings(lying.issuer, SPIN_OIDC_CORP_SIGN_UP="open"))
    lying.claims = claims
    with refused() as refusal:
        await attempt(auth, lying)
    assert refusal.reason == "OIDC_FAILED"


@pytest.mark.parametrize("how", ["none", "HS256", "another key"])
async def test_id_tokens_that_the_provider_did_not_sign(installation: Any, auth_class: Any, lying: LyingProvider, how: str) -> None:
    auth = await running(installation, auth_class, settings(lying.issuer, SPIN_OIDC_CORP_SIGN_UP="open"))
    if how == "another key":
        lying.signing_key = generate_private_key(65537, 2048)
    else:
        lying.algorithm = how
        lying.signing_key = b"a shared secret of sufficient length"  # type: ignore[assignment]
    with refused() as refusal:
        await attempt(auth, lying)
    assert refusal.reason == "OIDC_FAILED"


@pytest.mark.parametrize("metadata", [{"issuer": "https://other.example.org"}, {"token_endpoint": "http://evil.example.org/token"}, {"jwks_uri": ""}])
async def test_metadata_that_points_elsewhere(installation: Any, auth_class: Any, lying: LyingProvider, metadata: dict[str, str]) -> None:
    auth = await running(installation, auth_class, settings(lying.issuer, SPIN_OIDC_CORP_SIGN_UP="open"))
    lying.metadata = metadata
    with refused() as refusal:
        await attempt(auth, lying)
    assert refusal.reason == "OIDC_FAILED"


@pytest.mark.parametrize(("told", "issuer"), [(True, ""), (True, "https://other.example.org"), (False, "https://other.example.org")])
async def test_a_code_that_another_issuer_gave_out(installation: Any, auth_class: Any, lying: LyingProvider, told: bool, issuer: str) -> None:
    auth = await running(installation, auth_class, settings(lying.issuer, SPIN_OIDC_CORP_SIGN_UP="open"))
    lying.metadata = {"authorization_response_iss_parameter_supported": told}
    start = await started(auth)
    lying.nonce = parse_qs(urlsplit(start.authorization_url).query)["nonce"][0]
    with refused() as refusal:
        await finished(auth, start.state, "code", issuer)
    assert (refusal.reason, lying.asked) == ("OIDC_FAILED", 0)


async def test_an_answer_without_end_is_not_read_to_its_end(installation: Any, auth_class: Any, lying: LyingProvider) -> None:
    auth = await running(installation, auth_class, settings(lying.issuer, SPIN_OIDC_CORP_SIGN_UP="open"))
    lying.endless = True
    with refused() as refusal:
        await attempt(auth, lying)
    assert refusal.reason == "OIDC_FAILED"
    # What sockets hold on the way comes on top of what is read.
    assert lying.sent < FLOOD / 4


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_packed_answer_is_never_unpacked(
    installation: Any, auth_class: Any, lying: LyingProvider, capsys: pytest.CaptureFixture[str], layers: int
) -> None:
    auth = await running(installation, auth_class, settings(lying.issuer, SPIN_OIDC_CORP_SIGN_UP="open"))
    # Less than the longest answer where it is unpacked once, so that nothing but the packing is wrong with it.
    body = b'{"id_token": ""}' if layers == 1 else b" " * FLOOD
    for _ in range(layers):
        body = gzip.compress(body)
    lying.packed = (", ".join(["gzip"] * layers), body)
    before = peak_kib()
    with refused() as refusal:
        await attempt(auth, lying)
    assert refusal.reason == "OIDC_FAILED" and peak_kib() - before < FLOOD // 4 // 1024
    assert "packed" in capsys.readouterr().out


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_parallel_first_sign_ins_make_one_account(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider, SPIN_OIDC_CORP_SIGN_UP="open"))
    await person_at(provider, "ada-1", ADA)
    backs = [await consent((await started(auth)).authorization_url, "ada-1") for _ in range(3)]
    answers = await asyncio.gather(*(finished(auth, back["state"], back["code"]) for back in backs))
    assert len({answer.user.id for answer in answers}) == 1
