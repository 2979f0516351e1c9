"""`vault`: HashiCorp Vault and OpenBao. KV version 2 on the mounts that `kv2` names; every other path is read as it is: KV version 1, and
engines that make a credential with a lease (database/creds/…). A path starts with its mount.

- The token of a login is prolonged at two thirds of its life and replaced when it is over; a refused one is replaced once. It is revoked at
  the end, and all leases that it made with it. A token from a file is read for every call, and neither prolonged nor revoked.
- Redirects are not followed: the token would go along.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import hvac
import requests
from hvac import exceptions

from spin_runtime.broker.managers.bounded import BoundedAdapter, Threads
from spin_runtime.broker.managers.identity import authority, secret_of
from spin_runtime.broker.managers.interface import Failure, ManagerFailed, Secret
from spin_runtime.broker.managers.leases import RENEWED, SERVED, Bounds

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"


@dataclass(frozen=True)
class Token:
    text: str
    until: float
    renew_at: float


class Vault:
    def __init__(
        self, options: Mapping[str, Any], bounds: Bounds, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._environment, self._clock = environment, clock
        self._kv2 = sorted(options.get("kv2", ()), key=len, reverse=True)
        self._auth: Mapping[str, Any] = options["auth"]
        self._threads = Threads()
        self._token: Token | None = None
        session = requests.Session()
        session.verify = authority(options, environment) or True
        for scheme in ("https://", "http://"):
            session.mount(scheme, BoundedAdapter(bounds.timeout_s))
        self._client = hvac.Client(
            options["address"],
            # None yet; without it hvac takes one from the environment or from a file of the home.
            token="",
            namespace=options.get("namespace"),
            session=session,
            verify=session.verify,
            allow_redirects=False,
        )

    async def read(self, path: str, version: str) -> Secret:
        mount = next((mount for mount in self._kv2 if path.startswith(f"{mount}/")), "")
        return await self._threads.run(lambda: self._trusted(lambda: self._read_kv2(mount, path, version) if mount else self._read(path)))

    async def renew(self, lease_id: str) -> float:
        answer = await self._threads.run(lambda: self._trusted(lambda: self._client.sys.renew_lease(lease_id)))
        return float(answer["lease_duration"])

    async def give_back(self, lease_id: str) -> None:
        await self._threads.run(lambda: self._trusted(lambda: self._client.sys.revoke_lease(lease_id)))

    async def keep_identity(self) -> None:
        await self._threads.run(lambda: self._asked(self._identified))

    def identity(self) -> Iterable[str]:
        return [self._client.token] if self._client.token else []

    async def close(self) -> None:
        token, self._token = self._token, None
        if token is not None and token.until > self._clock():
            await self._threads.run(lambda: self._asked(self._client.auth.token.revoke_self))
        self._threads.close()

    # In a thread

    def _read_kv2(self, mount: str, path: str, version: str) -> Secret:
        if version and not version.isdigit():
            raise ManagerFailed(Failure.MISSING, "versions of KV are numbers")
        answer = self._client.secrets.kv.v2.read_secret_version(
            path.removeprefix(f"{mount}/"), version=int(version) if version else None, mount_point=mount, raise_on_deleted_version=True
        )
        return Secret(answer["data"]["data"])

    def _read(self, path: str) -> Secret:
        answer = self._client.read(path)
        if answer is None:
            raise ManagerFailed(Failure.MISSING)
        lease_id = str(answer["lease_id"] or "")
        return Secret(answer["data"], float(answer["lease_duration"] or 0), lease_id, bool(answer["renewable"]))

    def _trusted(self, ask: Callable[[], Any]) -> Any:
        """With a token that counts: one that was revoked meanwhile is replaced, once."""
        self._asked(self._identified)
        try:
            return self._asked(ask)
        except ManagerFailed as failed:
            if failed.failure is not Failure.DENIED or self._token is None:
                raise
        self._token = None
        self._asked(self._identified)
        return self._asked(ask)

    def _identified(self) -> None:
        if self._auth["method"] == "token":
            self._client.token = secret_of(self._auth, "token", self._environment)
            return
        now = self._clock()
        if self._token is not None and now >= self._token.renew_at:
            self._prolong(self._token, now)
        if self._token is None or now >= self._token.until:
            self._client.token = ""
            self._token = _token(self._login(), now)
        self._client.token = self._token.text

    def _prolong(self, token: Token, now: float) -> None:
        try:
            self._token = _token(self._client.auth.token.renew_self(), now)
        except (exceptions.VaultError, requests.RequestException):
            self._token = token if now < token.until else None

    def _login(self) -> Any:
        auth, mount = self._auth, self._auth.get("mount", self._auth["method"])
        try:
            if auth["method"] == "approle":
                secret_id = secret_of(auth, "secret_id", self._environment)
                return self._client.auth.approle.login(auth["role_id"], secret_id, use_token=False, mount_point=mount)
            jwt = secret_of(auth, "token", self._environment, SERVICE_ACCOUNT)
            return self._client.auth.kubernetes.login(auth["role"], jwt, use_token=False, mount_point=mount)
        except (exceptions.InvalidRequest, exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise ManagerFailed(Failure.NO_IDENTITY, type(error).__name__) from None

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise ManagerFailed(Failure.DENIED, type(error).__name__) from None
        except exceptions.InvalidPath:
            raise ManagerFailed(Failure.MISSING) from None
        except requests.Timeout:
            raise ManagerFailed(Failure.SLOW) from None
        except requests.RequestException as error:
            raise ManagerFailed(Failure.UNREACHABLE, type(error).__name__) from None
        except (exceptions.VaultError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManagerFailed(Failure.OTHER, type(error).__name__) from None


def _token(answer: Any, now: float) -> Token:
    auth = answer["auth"]
    lasts = float(auth["lease_duration"]) or float("inf")
    return Token(str(auth["client_token"]), now + lasts * SERVED, now + lasts * RENEWED if auth["renewable"] else float("inf"))
