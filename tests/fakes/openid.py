"""npm's certified `oidc-provider` in a process of its own, and a browser without a screen that signs in at it.

The packages are those of oidc_provider/package-lock.json, installed by `make test-setup`, or here where that was not run.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "oidc_provider"
# Characters that HTTP basic authentication must carry encoded (RFC 6749, section 2.3.1).
SECRET = "a secret: 100% of + and /"
CLIENTS: tuple[dict[str, Any], ...] = (
    {"client_id": "spin", "client_secret": SECRET},
    {"client_id": "spin-es256", "client_secret": SECRET, "id_token_signed_response_alg": "ES256"},
    {"client_id": "spin-eddsa", "client_secret": SECRET, "id_token_signed_response_alg": "EdDSA"},
    {"client_id": "spin-public", "token_endpoint_auth_method": "none"},
)


class OpenIdProvider:
    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def rotate_keys(self) -> None:
        httpx.post(f"{self.issuer}/test/rotate-keys").raise_for_status()

    def set_clock(self, offset_s: int) -> None:
        httpx.post(f"{self.issuer}/test/clock", json={"offset_s": offset_s}).raise_for_status()


@contextmanager
def running(redirect_uris: Sequence[str], port: int = 0) -> Iterator[OpenIdProvider]:
    subprocess.run(["make", "-s", "openid-setup"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    setup = json.dumps({"port": port, "redirectUris": list(redirect_uris), "clients": CLIENTS})
    argv = [ROOT / ".venv" / "bin" / "node", "provider.mjs", setup]
    process = subprocess.Popen(argv, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        issuer = process.stdout.readline().strip()
        assert issuer, "the provider did not start"
        yield OpenIdProvider(issuer)
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


class Browser:
    """Follows redirects, keeps cookies and submits the provider's forms, until it is sent to the callback."""

    def __init__(self, callback: str) -> None:
        self._callback = callback
        self._http = httpx.AsyncClient(follow_redirects=False)
        # The page that is open, and where.
        self.url, self.page, self.status = "", "", 0

    async def sign_in(self, url: str, login: str) -> dict[str, str]:
        """What the provider sends to the callback once the person has signed in and agreed."""
        back = await self.open(url)
        if back is None:
            back = await self.submit(login=login, password="anything")
        return back if back is not None else await self.agreed()

    async def agreed(self) -> dict[str, str]:
        back = await self.submit()
        assert back is not None, self.page
        return back

    async def cancel(self) -> dict[str, str]:
        back = await self.open(_found(r'href="([^"]*/abort)"', self.page))
        assert back is not None, self.page
        return back

    async def open(self, url: str) -> dict[str, str] | None:
        return await self._followed(await self._http.get(urljoin(self.url, url)))

    async def submit(self, **fields: str) -> dict[str, str] | None:
        form = fields | {"prompt": _found(r'name="prompt" value="(\w+)"', self.page)}
        return await self._followed(await self._http.post(urljoin(self.url, _found(r'action="([^"]+)"', self.page)), data=form))

    async def close(self) -> None:
        await self._http.aclose()

    async def _followed(self, answer: httpx.Response) -> dict[str, str] | None:
        while answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if target.partition("?")[0] == self._callback:
                return {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
            answer = await self._http.get(target)
        self.url, self.page, self.status = str(answer.url), answer.text, answer.status_code
        return None


def _found(pattern: str, page: str) -> str:
    match = re.search(pattern, page)
    assert match is not None, page
    return match[1]
