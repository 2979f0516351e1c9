"""What all services of one installation share: where data lives, where each service answers, what the outside calls us.

Rules: one frozen object, made once per program from the environment; a service's own settings stand in its own settings.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from spin_services.environment import Environment, reading
from spin_services.rpc.certificates import Tls

SERVICES = ("auth", "workspace", "compiler", "secrets", "audit")


@dataclass(frozen=True)
class Platform:
    data_dir: Path
    addresses: Mapping[str, str]
    database_url: str = ""
    listen_host: str = "127.0.0.1"
    keys_dir: Path = Path()
    # The address of the key-encryption key, see spin_services.keys.providers.
    kek: str = ""
    public_url: str = "http://localhost:8080"
    allowed_origins: tuple[str, ...] = ("http://localhost:8080",)
    otlp_endpoint: str = ""
    trace_ratio: float = 0.01
    log_format: str = "json"
    log_level: str = "info"
    metrics_port: int = 0
    drain_s: int = 20
    tls: Tls | None = None

    def service_address(self, name: str) -> str:
        """Where other services reach this one."""
        return self.addresses[name]

    def listen_address(self, name: str) -> str:
        """Where the service itself listens: its own port on the configured host."""
        return f"{self.listen_host}:{self.addresses[name].rpartition(':')[2]}"


def from_environment(values: Mapping[str, str]) -> Platform:
    """Raises SettingsInvalid with every fault."""
    with reading(values) as env:
        data_dir = env.path("SPIN_DATA") or Path("var")
        keys_dir = env.path("SPIN_KEYS_DIR") or data_dir / "keys"
        public_url = _origin(env, "SPIN_PUBLIC_URL", env.text("SPIN_PUBLIC_URL", "http://localhost:8080").rstrip("/"))
        origins = env.listing("SPIN_ALLOWED_ORIGINS", public_url)
        return Platform(
            data_dir=data_dir,
            addresses=_addresses(env),
            database_url=_database_url(env),
            listen_host=env.text("SPIN_LISTEN_HOST", "127.0.0.1"),
            keys_dir=keys_dir,
            kek=env.text("SPIN_KEK", f"file://{data_dir.absolute()}/kek"),
            public_url=public_url,
            allowed_origins=tuple(_origin(env, "SPIN_ALLOWED_ORIGINS", origin) for origin in origins),
            otlp_endpoint=env.text("SPIN_OTLP_ENDPOINT"),
            trace_ratio=env.ratio("SPIN_TRACE_RATIO", 0.01),
            log_format=env.choice("SPIN_LOG_FORMAT", "json", ("json", "console")),
            log_level=env.choice("SPIN_LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
            metrics_port=env.integer("SPIN_METRICS_PORT", 9100, 0, 65535),
            drain_s=env.integer("SPIN_DRAIN_S", 20, 0, 600),
            tls=_tls(env),
        )


def _addresses(env: Environment) -> dict[str, str]:
    base = env.integer("SPIN_SERVICE_PORT_BASE", 9100, 1, 65000)
    addresses = {}
    for offset, name in enumerate(SERVICES, start=1):
        variable = f"SPIN_{name.upper()}_ADDRESS"
        addresses[name] = env.text(variable, f"127.0.0.1:{base + offset}")
        if not addresses[name].rpartition(":")[2].isdigit():
            env.fault(variable, "is not HOST:PORT")
    return addresses


def _database_url(env: Environment) -> str:
    """PostgreSQL for all services, or empty for SQLite files under the data folder. A file may hold it, because it names a password."""
    url = env.secret("SPIN_DATABASE_URL_FILE") or env.text("SPIN_DATABASE_URL")
    if url and urlsplit(url).scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        env.fault("SPIN_DATABASE_URL", "is not a postgresql:// address")
        return ""
    return url


def _origin(env: Environment, name: str, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        env.fault(name, "is not an origin such as https://spin.example.org")
    return value


def _tls(env: Environment) -> Tls | None:
    names = ("SPIN_TLS_CERT", "SPIN_TLS_KEY", "SPIN_TLS_CA")
    files = [env.path(name) for name in names]
    if not any(files):
        return None
    found = [file for file in files if file is not None and file.is_file()]
    for name, file in zip(names, files, strict=True):
        if file not in found:
            env.fault(name, "is missing: certificate, key and CA are needed together" if file is None else "names a file that is not there")
    if len(found) < len(names):
        return None
    tls = Tls(*found)
    if fault := tls.fault():
        env.fault(names[0], f"cannot be used: {fault}")
    return tls
