"""The runtime's configuration: read from the environment once, into one frozen object. All that is wrong with it is said together."""

import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spin_envelope.egress import HostInvalid, pattern
from spin_envelope.pairing import SpinToken, TokenInvalid
from spin_runtime import accounts
from spin_runtime.accounts import Accounts
from spin_runtime.egress.policy import Cap
from spin_runtime.launcher.rules import CONTAINER, EGRESS, EGRESS_ALLOW_LIST, EGRESS_OPEN, KUBERNETES, PROCESS, SANDBOX, EngineRules, PodRules

UNVERIFIED_TLS = (
    "REQUESTS_CA_BUNDLE is not set, so the certificates of the systems that cells connect to are not verified. "
    "Set it to a file of CA certificates, or to a directory prepared with c_rehash."
)
# Above what distributions and container engines give out.
KERNEL_UIDS = (1_900_000_000, 1_916_777_215)
DOCKER = "unix:///var/run/docker.sock"
LAST_UID = (1 << 31) - 1
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")


class SettingsInvalid(Exception):
    """What is wrong with the environment, one line per fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True)
class Settings:
    """Everything but secrets: those are the broker's alone."""

    home: Path
    listen: str
    port: int
    metrics_port: int
    tls_cert: Path | None
    tls_key: Path | None
    # Whose certificates clients may show; with `client_certificates` required, must.
    client_ca: Path | None
    client_certificates: str
    ca_bundle: Path | None
    log_format: str
    log_level: str
    otlp_endpoint: str
    trace_ratio: float
    default_kernel: str
    spare_kernels: int
    isolation: str
    egress: Cap
    kernel_memory_bytes: int
    kernel_scratch_bytes: int
    kernel_processes: int
    kernel_uids: tuple[int, int]
    # What kernels may read beside the interpreter and the system.
    kernel_readable: tuple[str, ...]
    # Where kernels are containers.
    engine: EngineRules | None
    # Where kernels are pods.
    pods: PodRules | None
    idle_cull_s: int
    session_keep_s: int
    run_wall_s: int
    output_bytes: int
    message_bytes: int
    stream_bytes: int
    queue: int
    stop_grace_s: int
    # The operator's file; None where there is none.
    secret_managers: Path | None
    # None where all processes share a user.
    accounts: Accounts | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """For the log at start, and for everyone who attaches."""
        return () if self.ca_bundle is not None else (UNVERIFIED_TLS,)


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.faults: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self.environment.get(name, "").strip() or default

    def number(self, name: str, default: int, low: int = 0, high: int = 1 << 50) -> int:
        text = self.text(name, str(default))
        if not re.fullmatch(r"\d{1,16}", text) or not low <= int(text) <= high:
            self.faults.append(f"{name} must be a whole number from {low} to {high}, and is {text!r}")
            return default
        return int(text)

    def range(self, name: str, default: tuple[int, int], high: int) -> tuple[int, int]:
        text = self.text(name, f"{default[0]}-{default[1]}")
        found = re.fullmatch(r"(\d{1,10})-(\d{1,10})", text)
        if found is None or not 1 <= int(found[1]) < int(found[2]) <= high:
            self.faults.append(f"{name} must be two numbers, first-last, from 1 to {high}, and is {text!r}")
            return default
        return int(found[1]), int(found[2])

    def ratio(self, name: str, default: float) -> float:
        text = self.text(name, str(default))
        if not re.fullmatch(r"(0(\.\d+)?|1(\.0+)?)", text):
            self.faults.append(f"{name} must be a number from 0 to 1, and is {text!r}")
            return default
        return float(text)

    def decimal(self, name: str, default: float, high: float) -> float:
        text = self.text(name, str(default))
        if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text) or float(text) > high:
            self.faults.append(f"{name} must be a number from 0 to {high:.0f}, and is {text!r}")
            return default
        return float(text)

    def choice(self, name: str, default: str, *choices: str) -> str:
        text = self.text(name, default)
        if text not in choices:
            self.faults.append(f"{name} must be one of {', '.join(choices)}, and is {text!r}")
            return default
        return text

    def resource(self, name: str) -> str:
        """The name of something in a cluster; empty where none is set."""
        text = self.text(name)
        if not re.fullmatch(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?", text):
            self.faults.append(f"{name} must be a name in the cluster (small letters, digits, dashes), and is {text!r}")
        return text

    def checked(self, check: Callable[[], str | None]) -> None:
        if (fault := check()) is not None:
            self.faults.append(fault)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Checks all that can be checked before anything starts. Raises SettingsInvalid with every fault."""
    read = _Reader(environment)
    read.checked(lambda: _token_fault(read.text("SPIN_TOKEN")))
    settings = _settings(read)
    read.checked(lambda: _home_fault(settings.home))
    read.checked(lambda: _accounts_fault(settings.accounts, settings.kernel_uids))
    read.checked(lambda: _pods_fault(settings))
    read.checked(lambda: _tls_fault(settings.tls_cert, settings.tls_key))
    read.checked(lambda: _client_ca_fault(settings))
    read.checked(lambda: _ca_fault(settings.ca_bundle))
    read.checked(lambda: _egress_fault(settings))
    read.faults.extend(_managers_faults(settings.secret_managers, environment))
    if read.faults:
        raise SettingsInvalid(read.faults)
    return settings


def checked_before(environment: Mapping[str, str]) -> Settings:
    """The same, in a process of a runtime that was started after `from_environment` had found no fault. It may know no token."""
    return _settings(_Reader(environment))


def readable(environment: Mapping[str, str]) -> dict[str, str]:
    """What cells may read as {{runtime_env:NAME}}."""
    return {name: value for name, value in environment.items() if not name.upper().startswith("SPIN_")}


def _settings(read: _Reader) -> Settings:
    home = Path(read.text("SPIN_HOME", "/opt/spin"))
    cert, key = _tls_files(read, home)
    kernel_uids = read.range("SPIN_KERNEL_UIDS", KERNEL_UIDS, LAST_UID)
    return Settings(
        home=home,
        listen=read.text("SPIN_LISTEN", "0.0.0.0"),  # noqa: S104 (browsers reach the runtime from elsewhere; the protocol authenticates them)
        port=read.number("SPIN_RUNTIME_PORT", 8888, 0, 65535),
        metrics_port=read.number("SPIN_RUNTIME_METRICS_PORT", 0, 0, 65535),
        tls_cert=cert,
        tls_key=key,
        client_ca=Path(client_ca) if (client_ca := read.text("SPIN_CLIENT_CA")) else None,
        client_certificates=read.choice("SPIN_CLIENT_CERTIFICATES", "optional", "optional", "required"),
        ca_bundle=Path(bundle) if (bundle := read.text("REQUESTS_CA_BUNDLE")) else None,
        log_format=read.choice("SPIN_LOG_FORMAT", "json", "json", "console"),
        log_level=read.choice("SPIN_LOG_LEVEL", "INFO", "DEBUG", "INFO", "WARNING", "ERROR"),
        otlp_endpoint=read.text("SPIN_OTLP_ENDPOINT"),
        trace_ratio=read.ratio("SPIN_TRACE_RATIO", 1.0),
        default_kernel=read.text("SPIN_DEFAULT_KERNEL", "python3"),
        spare_kernels=read.number("SPIN_SPARE_KERNELS", 1, 0, 64),
        isolation=read.choice("SPIN_ISOLATION", PROCESS, PROCESS, SANDBOX, CONTAINER, KUBERNETES),
        egress=_egress(read),
        kernel_memory_bytes=read.number("SPIN_KERNEL_MEMORY_BYTES", 0),
        kernel_scratch_bytes=read.number("SPIN_KERNEL_SCRATCH_BYTES", 1 << 30, 1 << 20),
        kernel_processes=read.number("SPIN_KERNEL_PROCESSES", 4096, 64, 1 << 22),
        kernel_uids=kernel_uids,
        kernel_readable=tuple(path for path in read.text("SPIN_KERNEL_READABLE").split(":") if path),
        engine=_engine(read) if read.text("SPIN_ISOLATION") == CONTAINER else None,
        pods=_pods(read, kernel_uids) if read.text("SPIN_ISOLATION") == KUBERNETES else None,
        idle_cull_s=read.number("SPIN_IDLE_CULL_S", 8 * 3600),
        session_keep_s=read.number("SPIN_SESSION_KEEP_S", 3600),
        run_wall_s=read.number("SPIN_RUN_WALL_S", 0),
        output_bytes=read.number("SPIN_OUTPUT_BYTES", 1 << 30),
        message_bytes=read.number("SPIN_MESSAGE_BYTES", 31 << 20, 1 << 16, 256 << 20),
        stream_bytes=read.number("SPIN_STREAM_BYTES", 4 << 30, 64 << 20),
        queue=read.number("SPIN_QUEUE", 256, 1, 100_000),
        stop_grace_s=read.number("SPIN_STOP_GRACE_S", 10, 0, 3600),
        secret_managers=_secret_managers(read.text("SPIN_SECRET_MANAGERS"), home),
        accounts=_accounts(read),
    )


def _engine(read: _Reader) -> EngineRules:
    address = read.text("DOCKER_HOST", DOCKER)
    if not re.fullmatch(r"unix:///[^?#]+", address):
        read.faults.append(f"DOCKER_HOST is {address}: kernels need an engine on this machine, so give its socket, unix:///PATH")
    runtime = read.text("SPIN_KERNEL_RUNTIME")
    if not re.fullmatch(r"[a-zA-Z0-9._-]{0,64}", runtime):
        read.faults.append(f"SPIN_KERNEL_RUNTIME must be the name of a runtime of the container engine, such as runsc, and is {runtime!r}")
    return EngineRules(address, _image(read), runtime, read.decimal("SPIN_KERNEL_CPUS", 0.0, 1024.0))


def _image(read: _Reader) -> str:
    image, isolation = read.text("SPIN_KERNEL_IMAGE"), read.text("SPIN_ISOLATION")
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,254}", image):
        read.faults.append(f"SPIN_KERNEL_IMAGE must name the image of kernels that SPIN_ISOLATION={isolation} needs, and is {image!r}")
    return image


def _pods(read: _Reader, uids: tuple[int, int]) -> PodRules:
    kubeconfig, host, port = read.text("KUBECONFIG"), read.text("KUBERNETES_SERVICE_HOST"), read.text("KUBERNETES_SERVICE_PORT", "443")
    if not kubeconfig and not host:
        read.faults.append("SPIN_ISOLATION=kubernetes needs a cluster: run the runtime in a pod, or name a kubeconfig with KUBECONFIG")
    namespace = read.resource("SPIN_KERNEL_NAMESPACE")
    if kubeconfig and not namespace:
        read.faults.append("SPIN_KERNEL_NAMESPACE must name the namespace of kernels' pods where KUBECONFIG names the cluster")
    if read.text("SPIN_KERNEL_READABLE"):
        read.faults.append("SPIN_KERNEL_READABLE names files of the runtime's machine, which pods do not see: put them into SPIN_KERNEL_IMAGE")
    return PodRules(
        kubeconfig=kubeconfig,
        server=f"{host}:{port}",
        namespace=namespace,
        own_pod=read.resource("SPIN_POD_NAME"),
        own_namespace=read.resource("SPIN_POD_NAMESPACE"),
        image=_image(read),
        runtime=read.resource("SPIN_KERNEL_RUNTIME"),
        cpus=read.decimal("SPIN_KERNEL_CPUS", 0.0, 1024.0),
        claim=read.resource("SPIN_KERNEL_CLAIM"),
        work_bytes=read.number("SPIN_KERNEL_WORK_BYTES", 8 << 30, 1 << 20),
        deadline_s=read.number("SPIN_KERNEL_DEADLINE_S", 0),
        uids=uids,
    )


def _egress(read: _Reader) -> Cap:
    mode, hosts = read.choice("SPIN_EGRESS", EGRESS_OPEN, *EGRESS), []
    for text in read.text("SPIN_EGRESS_HOSTS").replace(",", " ").split():
        try:
            hosts.append(pattern(text))
        except HostInvalid as error:
            read.faults.append(f"SPIN_EGRESS_HOSTS has {text[:80]!r}: {error}")
    if hosts and mode != EGRESS_ALLOW_LIST:
        read.faults.append(f"SPIN_EGRESS_HOSTS goes with SPIN_EGRESS=allow_list, and SPIN_EGRESS is {mode}")
    return Cap(mode, tuple(dict.fromkeys(hosts)))


def _egress_fault(settings: Settings) -> str | None:
    if settings.isolation == "process" and settings.egress.mode != EGRESS_OPEN:
        return (
            f"SPIN_EGRESS is {settings.egress.mode}, which SPIN_ISOLATION=process cannot enforce: "
            "set SPIN_ISOLATION=sandbox (or container, kubernetes), or SPIN_EGRESS=open"
        )
    return None


def _pods_fault(settings: Settings) -> str | None:
    if settings.pods is not None and settings.accounts is not None:
        return "SPIN_ISOLATION=kubernetes takes SPIN_UIDS=shared: the runtime's pod is one user, and kernels' pods have users of their own"
    return None


def _token_fault(token: str) -> str | None:
    if not token:
        return 'SPIN_TOKEN is not set: copy it from the workspace\'s "Add a runtime" dialog'
    try:
        SpinToken.parse(token)
    except TokenInvalid as error:
        return str(error)
    return None


def _home_fault(home: Path) -> str | None:
    try:
        (home / "var").mkdir(parents=True, exist_ok=True)
        probe = home / "var" / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return f"SPIN_HOME is {home}, and the runtime cannot write below it: {error.strerror}"
    return None


def _secret_managers(named: str, home: Path) -> Path | None:
    usual = home / "etc" / "secret-managers.json"
    return Path(named) if named else usual if usual.exists() else None


def _managers_faults(path: Path | None, environment: Mapping[str, str]) -> list[str]:
    if path is None:
        return []
    # Imports what most runtimes do not need.
    from spin_runtime.broker.managers.configuration import ConfigurationInvalid, load

    try:
        load(path, environment)
    except ConfigurationInvalid as invalid:
        return invalid.faults
    return []


def _accounts(read: _Reader) -> Accounts | None:
    uids = read.choice("SPIN_UIDS", accounts.default(), accounts.SEPARATE, accounts.SHARED)
    broker = read.number("SPIN_BROKER_UID", accounts.BROKER_UID, 1, (1 << 31) - 1)
    server = read.number("SPIN_SERVER_UID", accounts.SERVER_UID, 1, (1 << 31) - 1)
    return Accounts(broker, server) if uids == accounts.SEPARATE else None


def _accounts_fault(separate: Accounts | None, kernels: tuple[int, int]) -> str | None:
    if separate is None:
        return None
    if os.geteuid() != 0:
        return "SPIN_UIDS is separate, and only root may give processes users of their own: start the runtime as root, or set SPIN_UIDS=shared"
    if any(kernels[0] <= uid <= kernels[1] for uid in (separate.broker, separate.server)):
        return "SPIN_KERNEL_UIDS holds SPIN_BROKER_UID or SPIN_SERVER_UID: choose users for kernels that nobody else is"
    return "SPIN_BROKER_UID and SPIN_SERVER_UID must differ" if separate.broker == separate.server else None


def _tls_files(read: _Reader, home: Path) -> tuple[Path | None, Path | None]:
    """The certificate and key that were named, or those that lie in SPIN_HOME; (None, None) means http."""
    named = read.text("SPIN_TLS_CERT"), read.text("SPIN_TLS_KEY")
    if any(named):
        return Path(named[0]) if named[0] else None, Path(named[1]) if named[1] else None
    cert, key = home / "cert.pem", home / "key.pem"
    return (cert if cert.exists() else None), (key if key.exists() else None)


def _tls_fault(cert: Path | None, key: Path | None) -> str | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        missing, present = ("certificate", key) if cert is None else ("private key", cert)
        named = "(SPIN_TLS_CERT and SPIN_TLS_KEY, or cert.pem and key.pem in SPIN_HOME)"
        return f"https needs a certificate and its key: {present} is there, its {missing} is not {named}"
    try:
        tls_context(cert, key)
    except (OSError, ssl.SSLError) as error:
        return f"the certificate {cert} and the key {key} cannot be used: {error.strerror or error}"
    return None


def _client_ca_fault(settings: Settings) -> str | None:
    if settings.client_ca is None:
        required = settings.client_certificates == "required"
        return "SPIN_CLIENT_CERTIFICATES is required, and SPIN_CLIENT_CA names no file of the CA that issues them" if required else None
    if settings.tls_cert is None or settings.tls_key is None:
        return "SPIN_CLIENT_CA is set, and clients show certificates over https alone: mount cert.pem and key.pem in SPIN_HOME, or leave it out"
    try:
        ssl.create_default_context(cafile=str(settings.client_ca))
    except (OSError, ssl.SSLError) as error:
        return f"SPIN_CLIENT_CA is {settings.client_ca}, which holds no readable CA certificates: {error.strerror or error}"
    return None


def tls_context(cert: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """With `client_ca` clients are asked for a certificate. One that does not verify ends the connection; having none is for the gate to judge."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # An encrypted key would make OpenSSL ask on the terminal.
    context.load_cert_chain(cert, key, password=lambda: "")
    if client_ca is not None:
        context.load_verify_locations(cafile=client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _ca_fault(bundle: Path | None) -> str | None:
    if bundle is None:
        return None
    if bundle.is_dir():
        if any(_HASHED_NAME.fullmatch(entry.name) for entry in bundle.iterdir()):
            return None
        return f"REQUESTS_CA_BUNDLE is the directory {bundle}, which has no hashed certificates: run c_rehash on it"
    try:
        ssl.create_default_context(cafile=str(bundle))
    except (OSError, ssl.SSLError) as error:
        return f"REQUESTS_CA_BUNDLE is {bundle}, which holds no readable CA certificates: {error.strerror or error}"
    return None
