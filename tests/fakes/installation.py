"""One installation in a folder of its own: keys, free ports, a clock that a test can move; services start in process over real gRPC."""

import itertools
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import grpc

from scripts.platform.apart import is_free
from spin_services.database import Database, notifier_for
from spin_services.keys import FileKek, KeyStore
from spin_services.keys.providers import open_provider
from spin_services.platform import SERVICES, Platform
from spin_services.rpc.errors import ErrorReason, ServiceError, from_rpc_error
from spin_services.rpc.identity import ACCESS_TOKEN_S, AUDIENCE, SERVICE_METADATA, SERVICE_ROLES, SERVICE_TOKEN_S, USER_METADATA
from spin_services.rpc.neighbours import DoorChannel, Neighbours
from spin_services.rpc.peers import Peers
from spin_services.rpc.server import App, Server
from spin_services.rpc.tokens import sign_jwt
from spin_services.rpc.wiring import Wiring, system_clock
from spinapis.envelope.v1.trust_pb2 import Role

ORIGIN = "https://spin.example.org"
Metadata = tuple[tuple[str, str], ...]


class MovableClock:
    """The system's clock, moved by a test."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def __call__(self) -> int:
        return system_clock() + self.offset_ms

    def advance(self, seconds: float) -> None:
        self.offset_ms += int(seconds * 1000)


class Installation:
    def __init__(self, folder: Path, database_url: str = "") -> None:
        self.clock = MovableClock()
        addresses = {name: f"127.0.0.1:{port}" for name, port in zip(SERVICES, free_ports(len(SERVICES)), strict=True)}
        self.platform = Platform(
            data_dir=folder,
            addresses=addresses,
            database_url=database_url if database_url.startswith("postgresql") else "",
            keys_dir=folder / "keys",
            kek=f"file://{folder.absolute()}/kek",
            public_url=ORIGIN,
            allowed_origins=(ORIGIN,),
            trace_ratio=0.0,
            drain_s=1,
        )
        self.keys = self.keys_of(self.platform, self.clock)
        self.keys.init()
        # Services that share a process call each other without a socket; those that are named here, and tests call them in the same way.
        self.neighbours = Neighbours(())
        self._servers: list[Server] = []
        self._fakes: list[grpc.aio.Server] = []
        self._channels: dict[str, grpc.aio.Channel] = {}

    @staticmethod
    def keys_of(platform: Platform, clock: Callable[[], int]) -> KeyStore:
        """Another view of the same keys, as another process has it."""
        kek = FileKek(Path(platform.kek.removeprefix("file://")))
        kek.create()
        return KeyStore(platform.keys_dir, kek, clock)

    def wiring(self, service: str, environment: Mapping[str, str] | None = None) -> Wiring:
        database = Database.of(self.platform, service)
        peers = Peers(self.platform, service, lambda: self.keys.role_key(SERVICE_ROLES[service]), self.clock, self.neighbours)
        return Wiring(
            service,
            self.platform,
            self.keys,
            open_provider(self.platform.kek, {}),
            peers,
            notifier_for(database),
            database,
            environment or {},
            self.clock,
            self.neighbours.door(service),
        )

    async def start(self, app: App, wiring: Wiring) -> Server:
        server = Server(app, wiring)
        await server.start()
        self._servers.append(server)
        return server

    async def start_fake(self, service: str, *servicers: tuple[Callable[[Any, grpc.aio.Server], None], object]) -> None:
        """Fakes answer without asking who calls."""
        server = grpc.aio.server()
        for add, servicer in servicers:
            add(servicer, server)
        server.add_insecure_port(self.platform.service_address(service))
        await server.start()
        self._fakes.append(server)

    def channel(self, service: str) -> grpc.aio.Channel:
        door = self.neighbours.door(service)
        return cast(grpc.aio.Channel, DoorChannel(door, self.socket(service))) if door else self.socket(service)

    def socket(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            self._channels[service] = grpc.aio.insecure_channel(self.platform.service_address(service))
        return self._channels[service]

    def access_token(self, user_id: str, **claims: Any) -> str:
        now = self.clock() // 1000
        body: dict[str, Any] = {"iss": ORIGIN, "aud": AUDIENCE, "sub": user_id, "sid": "0" * 32, "kind": "person", "jti": secrets.token_hex(8)}
        body |= {"iat": now, "exp": now + ACCESS_TOKEN_S}
        return sign_jwt(body | claims, self.keys.role_key(Role.ROLE_AUTH))

    def as_user(self, user_id: str, **claims: Any) -> Metadata:
        """Metadata of a call by a person."""
        return ((USER_METADATA, f"Bearer {self.access_token(user_id, **claims)}"),)

    def as_service(self, service: str, callee: str, user_id: str = "", **claims: Any) -> Metadata:
        """Metadata of a call by a service, for a person when one is named."""
        now = self.clock() // 1000
        body = {"iss": service, "aud": callee, "iat": now, "exp": now + SERVICE_TOKEN_S}
        token = sign_jwt(body, self.keys.role_key(SERVICE_ROLES[service]))
        return ((SERVICE_METADATA, f"Bearer {token}"), *(self.as_user(user_id, **claims) if user_id else ()))

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        for server in self._servers:
            await server.drain()
        await self.stop_fakes()

    async def stop_fakes(self) -> None:
        for fake in self._fakes:
            await fake.stop(None)
        self._fakes.clear()


class Refusal:
    """What a call was refused with: `with refused() as refusal: await stub.Method(...)`, then `refusal.reason`."""

    def __init__(self) -> None:
        self.error: ServiceError | None = None

    @property
    def reason(self) -> str:
        assert self.error is not None
        return ErrorReason.Name(self.error.reason).removeprefix("ERROR_REASON_")

    @property
    def text(self) -> str:
        assert self.error is not None
        return self.error.text

    @property
    def metadata(self) -> Mapping[str, str]:
        assert self.error is not None
        return self.error.metadata

    @property
    def violations(self) -> Sequence[tuple[str, str]]:
        assert self.error is not None
        return self.error.violations

    def __enter__(self) -> "Refusal":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, grpc.aio.AioRpcError):
            self.error = from_rpc_error(error, "the service")
            return True
        assert error is not None, "the call was not refused"
        return False


def refused() -> Refusal:
    return Refusal()


# Below the range from which the system hands out its own, and for each process of tests another part: between finding a port free and
# listening there, somebody else would take it once in a few hundred times.
_PART = 1000
_first = 10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10 * _PART
_ports = itertools.cycle(_first + (os.getpid() + number) % _PART for number in range(_PART))


def free_ports(count: int) -> Sequence[int]:
    return list(itertools.islice(filter(is_free, itertools.islice(_ports, _PART)), count))
