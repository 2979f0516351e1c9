"""Where the local platform listens and keeps its data. Read once from the environment; all faults are reported together."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GATEWAY_PORT, RUNTIME_PORT = 8080, 8888


class SettingsInvalid(Exception):
    """One line per fault, each with the variable that mends it."""


@dataclass(frozen=True)
class Settings:
    """Ports are on the loopback interface. Services take `service_port_base` and the nine ports after it."""

    data: Path
    gateway_port: int
    runtime_port: int
    service_port_base: int
    database_url: str
    otlp_endpoint: str
    # Of the calls that come through the gateway, how many are traced.
    trace_ratio: float
    # Whether gateway and services show each other certificates.
    mutual_tls: bool

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.gateway_port}"

    @property
    def runtime_url(self) -> str:
        return f"http://localhost:{self.runtime_port}"

    @property
    def metrics_port(self) -> int:
        return self.service_port_base

    def service_address(self, name: str) -> str:
        return f"127.0.0.1:{self.service_port_base + 1 + ('auth', 'workspace', 'compiler', 'secrets', 'audit').index(name)}"

    @property
    def ui_address(self) -> str:
        return f"127.0.0.1:{self.service_port_base + 6}"

    @property
    def admin_address(self) -> str:
        return f"127.0.0.1:{self.service_port_base + 7}"

    @property
    def runtime_name(self) -> str:
        """A runtime is enrolled for exact addresses, so other ports make another runtime."""
        default = (self.gateway_port, self.runtime_port) == (GATEWAY_PORT, RUNTIME_PORT)
        return "This machine" if default else f"This machine ({self.gateway_port}, {self.runtime_port})"

    @property
    def runtime_home(self) -> Path:
        return self.data / "runtime" / f"{self.gateway_port}-{self.runtime_port}"

    @property
    def runtime_token_file(self) -> Path:
        return self.runtime_home.with_suffix(".token")

    @property
    def certificates(self) -> Path:
        return self.data / "certificates"

    @property
    def logs(self) -> Path:
        return self.data / "log"

    @property
    def run(self) -> Path:
        return self.data / "run"


def from_environment(environment: Mapping[str, str], data: Path) -> Settings:
    """`data` is where SPIN_DATA does not say otherwise. Raises SettingsInvalid."""
    faults: list[str] = []

    def port(name: str, default: int) -> int:
        text = environment.get(name, str(default))
        if not text.isdecimal() or not 1024 <= int(text) <= 65500:
            faults.append(f"{name}={text!r} is not a port between 1024 and 65500: choose another, such as {name}={default}")
            return default
        return int(text)

    def ratio(name: str, default: float) -> float:
        text = environment.get(name, str(default))
        if not re.fullmatch(r"0?\.\d+|[01](\.0+)?", text):
            faults.append(f"{name}={text!r} is not a number from 0 to 1: choose another, such as {name}={default}")
            return default
        return float(text)

    def flag(name: str) -> bool:
        text = environment.get(name, "false")
        if text not in ("true", "false"):
            faults.append(f"{name}={text!r} is neither true nor false")
        return text == "true"

    settings = Settings(
        data=Path(environment.get("SPIN_DATA") or data).resolve(),
        gateway_port=port("SPIN_GATEWAY_PORT", GATEWAY_PORT),
        runtime_port=port("SPIN_RUNTIME_PORT", RUNTIME_PORT),
        service_port_base=port("SPIN_SERVICE_PORT_BASE", 9100),
        database_url=environment.get("SPIN_DATABASE_URL", ""),
        otlp_endpoint=environment.get("SPIN_OTLP_ENDPOINT", ""),
        trace_ratio=ratio("SPIN_TRACE_RATIO", 0.01),
        mutual_tls=flag("SPIN_MTLS"),
    )
    if faults:
        raise SettingsInvalid("\n".join(faults))
    return settings


def taken_ports(settings: Settings) -> list[str]:
    """A line for each port that somebody else listens on."""
    wanted = {settings.gateway_port: "SPIN_GATEWAY_PORT", settings.runtime_port: "SPIN_RUNTIME_PORT"}
    wanted |= {settings.service_port_base + offset: "SPIN_SERVICE_PORT_BASE" for offset in range(8)}
    return [f"port {port} is taken: stop what uses it, or choose another with {name}=…" for port, name in wanted.items() if not _free(port)]


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
