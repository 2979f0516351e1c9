"""Sign-in in the person's own browser: authorization code with PKCE, back over a loopback address (RFC 8252).

auth keeps the PKCE verifier; this side starts the flow, waits for the code on 127.0.0.1 and hands it over. The redirect address must be
on the platform's list of redirect addresses, exactly.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from spin_client.sdk.errors import SpinError
from spinapis.auth.v1 import sign_in_pb2, sign_in_pb2_grpc

DEFAULT_PORT = 8976
_WAIT_S = 300.0
_PAGE = "<!doctype html><meta charset=utf-8><title>SPIN</title><body style='font-family:sans-serif;margin:4rem'><h1>{}</h1><p>{}</p>"


@dataclass(frozen=True)
class Answer:
    """What the browser came back with; `issuer` is empty where the provider sent none."""

    code: str
    issuer: str


async def sign_in(
    stub: sign_in_pb2_grpc.SignInServiceAsyncStub, provider_id: str, show_url: Callable[[str], object], *, port: int = DEFAULT_PORT
) -> sign_in_pb2.FinishOidcSignInResponse:
    """Runs the whole flow; `show_url` opens or prints the address that the person must visit."""
    redirect_uri = f"http://127.0.0.1:{port}/callback"
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    started = await stub.StartOidcSignIn(sign_in_pb2.StartOidcSignInRequest(provider_id=provider_id, redirect_uri=redirect_uri))
    runner = await _listen(port, started.state, answer)
    try:
        show_url(started.authorization_url)
        async with asyncio.timeout(_WAIT_S):
            received = await answer
    except TimeoutError:
        raise SpinError("OIDC_FAILED", f"nobody came back from the sign-in page within {_WAIT_S:.0f} s", {"provider": provider_id}) from None
    finally:
        await runner.cleanup()
    return await stub.FinishOidcSignIn(sign_in_pb2.FinishOidcSignInRequest(state=started.state, code=received.code, issuer=received.issuer))


async def _listen(port: int, state: str, answer: asyncio.Future[Answer]) -> web.AppRunner:
    async def callback(request: web.Request) -> web.Response:
        heading, text = _take(urlsplit(str(request.url)).query, state, answer)
        return web.Response(text=_PAGE.format(heading, text), content_type="text/html")

    application = web.Application()
    application.router.add_get("/callback", callback)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError as fault:
        await runner.cleanup()
        raise SpinError("OIDC_FAILED", f"cannot listen on 127.0.0.1:{port}: {fault.strerror}; choose another port with --redirect-port") from None
    return runner


def _take(query: str, state: str, answer: asyncio.Future[Answer]) -> tuple[str, str]:
    """Accepts the one answer that belongs to this flow; any other page that calls here changes nothing."""
    values = parse_qs(query)
    if not hmac.compare_digest(values.get("state", [""])[0], state):
        return "Not this sign-in", "This page does not belong to the sign-in that is waiting."
    if not answer.done():
        if "code" in values:
            answer.set_result(Answer(values["code"][0], values.get("iss", [""])[0]))
        else:
            answer.set_exception(SpinError("OIDC_FAILED", f"the provider refused: {values.get('error', ['no reason given'])[0]}"))
    return "Done", "You can close this page and go back to the terminal."
