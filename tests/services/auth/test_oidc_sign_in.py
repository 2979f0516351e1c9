"""Signing in at a real OpenID Connect provider over HTTP, and providers that lie."""

import asyncio
import gzip
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from spinapis.auth.v1 import members_pb2
from spinapis.auth.v1 import sign_in_pb2 as pb
from tests.fakes.installation import ORIGIN, Installation, Metadata, free_ports, refused

CALLBACK = f"{ORIGIN}/sign-in/callback"
ADA = {"email": "ada@example.org", "email_verified": True, "name": "Ada Lovelace"}
FLOOD = 128 * 1024 * 1024
SQUATTED = "four unrelated words of mallory"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A process of its own."""
    port = free_ports(1)[0]
    argv = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            httpx.get(f"{address}/.well-known/openid-configuration")
            break
        except httpx.TransportError:
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(10)


async def person_at(provider: str, subject: str, claims: dict[str, Any]) -> None:
    async with httpx.AsyncClient() as http:
        (await http.put(f"{provider}/users/{subject}", json=claims)).raise_for_status()


def settings(issuer: str, **more: str) -> dict[str, str]:
    return {"SPIN_OIDC_CORP_ISSUER": issuer, "SPIN_OIDC_CORP_CLIENT_ID": "spin", "SPIN_OIDC_CORP_DISPLAY_NAME": "Corporate"} | more


async def consent(url: str, subject: str) -> dict[str, str]:
    """What the browser does: goes there, says yes, comes back with code and state."""
    async with httpx.AsyncClient() as http:
        answer = await http.post(url, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == CALLBACK
    return {name: values[0] for name, values in parse_qs(back.query).items()}


async def started(auth: Any, **changes: str) -> Any:
    request = pb.StartOidcSignInRequest(**({"provider_id": "corp", "redirect_uri": CALLBACK} | changes))
    return await auth.sign_in.StartOidcSignIn(request)


async def finished(auth: Any, state: str, code: str, issuer: str = "") -> Any:
    return await auth.sign_in.FinishOidcSignIn(pb.FinishOidcSignInRequest(state=state, code=code, issuer=issuer))


async def through(auth: Any, subject: str) -> Any:
    start = await started(auth)
    back = await consent(start.authorization_url, subject)
    assert back["state"] == start.state
    return await finished(auth, back["state"], back["code"])


async def running(installation: Any, auth_class: Any, environment: dict[str, str]) -> Any:
    secret = installation.platform.data_dir / "client-secret"
    secret.write_text("the client's secret\n")
    auth = auth_class(installation)
    await auth.start(environment | {"SPIN_OIDC_CORP_CLIENT_SECRET_FILE": str(secret)})
    return auth


async def api_key(auth: Any, workspace: str, by: Any) -> Any:
    request = members_pb2.CreateApiKeyRequest(workspace_id=workspace, name="ci", role=members_pb2.MEMBER_ROLE_VIEWER)
    return await auth.members.CreateApiKey(request, metadata=by.metadata)


async def exchanged(auth: Any, made: Any) -> Metadata:
    answer = await auth.sign_in.ExchangeApiKey(pb.ExchangeApiKeyRequest(api_key=made.secret))
    return (("authorization", f"Bearer {answer.tokens.access_token}"),)


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


@pytest.fixture
async def installation_on(tmp_path: Path, database_url: str) -> AsyncIterator[Installation]:
    made = Installation(tmp_path / "installation", database_url)
    yield made
    await made.close()


async def test_whoever_invited_a_person_is_out_of_the_account_when_its_owner_comes(installation_on: Any, auth_class: Any, provider: str) -> None:
    """An invitation's link is in the inviter's hands. Used first or kept for later, it leads not into somebody's account."""
    auth = await running(installation_on, auth_class, settings(provider))
    owner = await auth.owner()
    workspace = await auth.found(owner)
    mallory = await auth.invite(workspace, owner, "owner")
    request = members_pb2.AddMemberRequest(workspace_id=workspace, email="ada@example.org", role=members_pb2.MEMBER_ROLE_EDITOR)
    squatter = await auth.redeem((await auth.members.AddMember(request, metadata=mallory.metadata)).sign_in_token)
    await auth.sign_in.SetPassword(pb.SetPasswordRequest(new_password=SQUATTED), metadata=squatter.metadata)
    kept, others = await api_key(auth, workspace, squatter), await api_key(auth, workspace, mallory)
    machine = await exchanged(auth, kept)
    await person_at(provider, "ada-1", ADA)
    ada = await through(auth, "ada-1")
    assert ada.user.id == squatter.id
    for attempt in (exchanged(auth, kept), auth.sign_in.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=machine)):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "UNAUTHENTICATED"
    assert await exchanged(auth, others)
    revoked = auth.log.entries[workspace][-1]
    assert (revoked.type, revoked.user_id, revoked.subjects) == ("api_key.revoked", ada.user.id, [f"api_key:{kept.api_key.id}"])
    with refused() as refusal:
        await auth.sign_in.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=squatter.metadata)
    assert refusal.reason == "UNAUTHENTICATED"
    with refused() as refusal:
        await auth.sign_in.RefreshTokens(pb.RefreshTokensRequest(refresh_token=squatter.tokens.refresh_token))
    assert refusal.reason == "UNAUTHENTICATED"
    with refused() as refusal:
        await auth.sign_in.SignInWithPassword(pb.SignInWithPasswordRequest(email="ada@example.org", password=SQUATTED))
    assert refusal.reason == "CREDENTIALS_INVALID"
    assert (await through(auth, "ada-1")).user.id == ada.user.id


async def test_nobody_comes_into_an_account_while_its_api_keys_cannot_be_revoked_in_the_log(
    installation: Any, auth_class: Any, provider: str
) -> None:
    auth = await running(installation, auth_class, settings(provider))
    owner = await auth.owner()
    workspace = await auth.found(owner)
    squatter = await auth.invite(workspace, owner, "editor", "ada@example.org")
    key = await api_key(auth, workspace, squatter)
    await person_at(provider, "ada-1", ADA)
    auth.log.broken = True
    with refused() as refusal:
        await through(auth, "ada-1")
    assert refusal.reason == "UNAVAILABLE"
    auth.log.broken = False
    assert (await through(auth, "ada-1")).user.id == squatter.id
    with refused() as refusal:
        await exchanged(auth, key)
    assert refusal.reason == "UNAUTHENTICATED"


async def test_an_invitations_link_is_void_once_the_invited_came_by_the_provider(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider))
    owner = await auth.owner()
    request = members_pb2.AddMemberRequest(workspace_id=await auth.found(owner), email="ada@example.org", role=members_pb2.MEMBER_ROLE_VIEWER)
    link = (await auth.members.AddMember(request, metadata=owner.metadata)).sign_in_token
    await person_at(provider, "ada-1", ADA)
    ada = await through(auth, "ada-1")
    with refused() as refusal:
        await auth.redeem(link)
    assert refusal.reason == "SIGN_IN_LINK_INVALID"
    metadata = (("authorization", f"Bearer {ada.tokens.access_token}"),)
    assert (await auth.sign_in.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=metadata)).user.id == ada.user.id
