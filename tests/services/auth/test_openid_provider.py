"""Signing in at a certified OpenID provider as a browser does it, and all that can go wrong on the way."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from spinapis.auth.v1 import sign_in_pb2 as pb
from tests.fakes import openid
from tests.fakes.installation import ORIGIN, free_ports, refused
from tests.fakes.openid import Browser, OpenIdProvider

CALLBACK = f"{ORIGIN}/sign-in/callback"
UNREGISTERED = f"{ORIGIN}/elsewhere"


@pytest.fixture(scope="module")
def shared() -> Iterator[OpenIdProvider]:
    with openid.running([CALLBACK]) as started:
        yield started


@pytest.fixture
def provider(shared: OpenIdProvider) -> Iterator[OpenIdProvider]:
    yield shared
    shared.set_clock(0)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    made = Browser(CALLBACK)
    yield made
    await made.close()


@pytest.fixture
async def auth(installation: Any, auth_class: Any, provider: OpenIdProvider) -> Any:
    """It knows the provider four times: by each kind of signature with a secret, and as a public client."""
    secret = installation.platform.data_dir / "client-secret"
    secret.write_text(openid.SECRET + "\n")
    environment = {}
    for name, client in (("RSA", "spin"), ("EC", "spin-es256"), ("ED", "spin-eddsa"), ("PUBLIC", "spin-public")):
        environment |= {f"SPIN_OIDC_{name}_ISSUER": provider.issuer, f"SPIN_OIDC_{name}_CLIENT_ID": client, f"SPIN_OIDC_{name}_SIGN_UP": "open"}
        if name != "PUBLIC":
            environment[f"SPIN_OIDC_{name}_CLIENT_SECRET_FILE"] = str(secret)
    environment["SPIN_OIDC_RSA_REDIRECT_URIS"] = f"{CALLBACK},{UNREGISTERED}"
    made = auth_class(installation)
    await made.start(environment)
    return made


async def started(auth: Any, provider_id: str = "rsa", redirect_uri: str = CALLBACK) -> Any:
    return await auth.sign_in.StartOidcSignIn(pb.StartOidcSignInRequest(provider_id=provider_id, redirect_uri=redirect_uri))


async def finished(auth: Any, state: str, code: str, issuer: str = "") -> Any:
    return await auth.sign_in.FinishOidcSignIn(pb.FinishOidcSignInRequest(state=state, code=code, issuer=issuer))


async def through(auth: Any, browser: Browser, provider_id: str = "rsa", login: str = "ada") -> Any:
    start = await started(auth, provider_id)
    back = await browser.sign_in(start.authorization_url, login)
    assert back["state"] == start.state
    return await finished(auth, back["state"], back["code"], back["iss"])


def changed(url: str, **changes: str | None) -> str:
    """The address with other parameters; without those that are None."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()} | changes
    return urlsplit(url)._replace(query=urlencode({name: value for name, value in query.items() if value is not None})).geturl()


@pytest.mark.parametrize("provider_id", ["rsa", "ec", "ed", "public"])
async def test_a_person_signs_in_whatever_the_client_and_the_signature(auth: Any, browser: Browser, provider_id: str) -> None:
    answer = await through(auth, browser, provider_id)
    assert (answer.user.email, answer.user.display_name) == ("ada@example.org", "Ada Lovelace")
    metadata = (("authorization", f"Bearer {answer.tokens.access_token}"),)
    assert (await auth.sign_in.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=metadata)).user == answer.user


async def test_who_is_signed_in_at_the_provider_is_not_asked_again(auth: Any, browser: Browser) -> None:
    first = await through(auth, browser)
    back = await browser.open((await started(auth)).authorization_url)
    assert back is not None
    assert (await finished(auth, back["state"], back["code"], back["iss"])).user == first.user


async def test_an_email_that_the_provider_did_not_verify_opens_nobodys_account(auth: Any, browser: Browser) -> None:
    owner = await auth.owner()
    assert owner.user.email == "owner@localhost"
    with refused() as refusal:
        await through(auth, browser, login="eve")
    assert refusal.reason == "OIDC_FAILED" and refusal.error is not None and refusal.error.metadata["provider"] == "rsa"


async def test_an_address_that_the_provider_does_not_know_gets_no_code(auth: Any, browser: Browser) -> None:
    start = await started(auth, redirect_uri=UNREGISTERED)
    assert await browser.open(start.authorization_url) is None
    assert browser.status == 400 and "invalid_redirect_uri" in browser.page


async def test_a_request_without_our_challenge_gets_no_code(auth: Any, browser: Browser) -> None:
    start = await started(auth)
    back = await browser.open(changed(start.authorization_url, code_challenge=None, code_challenge_method=None))
    assert back is not None and back["error"] == "invalid_request" and "code" not in back


async def test_a_code_is_worth_something_once(auth: Any, browser: Browser) -> None:
    start, other = await started(auth), await started(auth)
    back = await browser.sign_in(start.authorization_url, "ada")
    await finished(auth, start.state, back["code"], back["iss"])
    for state in (start.state, other.state):
        with refused() as refusal:
            await finished(auth, state, back["code"], back["iss"])
        assert refusal.reason == "OIDC_FAILED"


async def test_a_code_for_another_verifier_is_worth_nothing(auth: Any, browser: Browser) -> None:
    victim, attacker = await started(auth), await started(auth)
    stolen = await browser.sign_in(victim.authorization_url, "ada")
    with refused() as refusal:
        await finished(auth, attacker.state, stolen["code"])
    assert refusal.reason == "OIDC_FAILED"


async def test_an_id_token_with_another_nonce_is_for_another_sign_in(auth: Any, browser: Browser) -> None:
    start = await started(auth)
    back = await browser.sign_in(changed(start.authorization_url, nonce="another"), "ada")
    with refused() as refusal:
        await finished(auth, start.state, back["code"], back["iss"])
    assert refusal.reason == "OIDC_FAILED"


async def test_a_person_who_cancels_comes_back_without_a_code_and_can_start_again(auth: Any, browser: Browser) -> None:
    start = await started(auth)
    await browser.open(start.authorization_url)
    back = await browser.cancel()
    assert (back["error"], back["state"]) == ("access_denied", start.state) and "code" not in back
    with refused() as refusal:
        await finished(auth, start.state, "")
    assert refusal.reason == "OIDC_FAILED"
    assert (await through(auth, browser)).user.email == "ada@example.org"


@pytest.mark.parametrize("provider_id", ["rsa", "ec", "ed"])
async def test_a_rotation_of_the_providers_keys_keeps_nobody_out(auth: Any, browser: Browser, provider: OpenIdProvider, provider_id: str) -> None:
    for _ in range(3):
        assert (await through(auth, browser, provider_id)).user.email == "ada@example.org"
        provider.rotate_keys()


async def test_an_expired_id_token(auth: Any, browser: Browser, provider: OpenIdProvider) -> None:
    start = await started(auth)
    back = await browser.sign_in(start.authorization_url, "ada")
    provider.set_clock(-2 * 3600)
    with refused() as refusal:
        await finished(auth, start.state, back["code"], back["iss"])
    assert refusal.reason == "OIDC_FAILED"


async def test_a_provider_that_went_away_and_came_back(installation: Any, auth_class: Any, browser: Browser) -> None:
    (port,) = free_ports(1)
    auth = auth_class(installation)
    environment = {"SPIN_OIDC_RSA_ISSUER": f"http://127.0.0.1:{port}", "SPIN_OIDC_RSA_CLIENT_ID": "spin-public", "SPIN_OIDC_RSA_SIGN_UP": "open"}
    await auth.start(environment)
    with refused() as refusal:
        await started(auth)
    assert refusal.reason == "OIDC_FAILED"
    with openid.running([CALLBACK], port):
        assert (await through(auth, browser)).user.email == "ada@example.org"
        start = await started(auth)
        back = await browser.open(start.authorization_url)
    assert back is not None
    with refused() as refusal:
        await finished(auth, start.state, back["code"], back["iss"])
    assert refusal.reason == "OIDC_FAILED"
