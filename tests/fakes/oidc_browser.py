"""Signing in at an OpenID Connect provider, as a browser does it."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from spinapis.auth.v1 import sign_in_pb2 as pb
from tests.fakes.installation import ORIGIN

CALLBACK = f"{ORIGIN}/sign-in/callback"
ADA = {"email": "ada@example.org", "email_verified": True, "name": "Ada Lovelace"}


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
