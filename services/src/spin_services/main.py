"""The command `spin-service`: runs the services and looks after their keys.

Rules: settings come from the environment alone; a fault at the start is told in plain lines, all of them at once, with exit status 2.
"""

import asyncio
import importlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
import uvloop

from spin_envelope.errors import Refused, RootExpired
from spin_envelope.root_changes import role_name
from spin_services.environment import SettingsInvalid
from spin_services.keys import KeyStore, KeysUnusable, expiry, keys_exist
from spin_services.keys.installation_kek import installation_kek
from spin_services.keys.providers import KekProvider, open_provider
from spin_services.keys.store import SHOWN_S, NotShownYet
from spin_services.platform import SERVICES, Platform, from_environment
from spin_services.rpc.neighbours import Neighbours
from spin_services.rpc.wiring import Wiring, system_clock
from spin_services.ui import app as ui_app
from spin_services.ui import settings as ui_settings
from spinapis.envelope.v1.trust_pb2 import Role

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="SPIN's control plane.")
keys_app = typer.Typer(no_args_is_help=True, help="The installation's own keys.")
app.add_typer(keys_app, name="keys")
KEYS_WAIT_S = 30
T = TypeVar("T")


def wire(platform: Platform, service: str, keys: KeyStore, kek: KekProvider, neighbours: Neighbours | None = None) -> Wiring:
    """The collaborators of one service; `neighbours` are the services of its process."""
    from spin_services.database import Database, notifier_for
    from spin_services.rpc.identity import SERVICE_ROLES
    from spin_services.rpc.peers import Peers

    database, door = Database.of(platform, service), neighbours.door(service) if neighbours else None
    peers = Peers(platform, service, lambda: keys.role_key(SERVICE_ROLES[service]), system_clock, neighbours)
    return Wiring(service, platform, keys, kek, peers, notifier_for(database), database, os.environ, door=door)


async def key_store(platform: Platform, kek: KekProvider, *, create: bool = False) -> KeyStore:
    """Raises KeysUnusable. With `create`, makes the keys unless they are there."""
    store = KeyStore(platform.keys_dir, await installation_kek(kek, platform.keys_dir, create=create), system_clock)
    if create:
        store.init()
    return store


async def run(platform: Platform, services: Sequence[str]) -> None:
    """Builds and serves until a signal; several services share the process and the event loop."""
    from spin_services.rpc.server import Server, serve

    if platform.tls is not None and (fault := platform.tls.expired() or platform.tls.unnamed(services)):
        raise SettingsInvalid([fault])
    kek = open_provider(platform.kek, os.environ)
    await _wait_for_keys(platform, services)
    keys = await key_store(platform, kek, create="auth" in services)
    ui = ui_settings.from_environment(os.environ)
    if ui.folder is not None and len(services) > 1:
        await ui_app.serve(ui.folder, ui.address)
    neighbours = Neighbours(services if len(services) > 1 else ())
    wirings = [wire(platform, service, keys, kek, neighbours) for service in services]
    builds = [importlib.import_module(f"spin_services.{service}.app").build for service in services]
    try:
        apps = await asyncio.gather(*(build(wiring) for build, wiring in zip(builds, wirings, strict=True)))
        await serve([Server(built, wiring) for built, wiring in zip(apps, wirings, strict=True)])
    finally:
        await kek.close()


async def _wait_for_keys(platform: Platform, services: Sequence[str]) -> None:
    """auth makes the keys at its first start; the others wait for them."""
    for _ in range(KEYS_WAIT_S * 10):
        if "auth" in services or keys_exist(platform.keys_dir):
            return
        await asyncio.sleep(0.1)
    raise KeysUnusable(f"there are no keys in {platform.keys_dir}: start auth, or run `spin-service keys init`")


def _serving(name: str, services: Sequence[str]) -> Callable[[], None]:
    def command() -> None:
        from spin_services.rpc import telemetry

        platform = _platform()
        try:
            telemetry.configure(platform, name)
            uvloop.run(run(platform, services))
        except (KeysUnusable, SettingsInvalid, RuntimeError) as error:
            _refuse(error)
        finally:
            telemetry.shut_down()

    command.__doc__ = "Run all five services in one process." if name == "all" else f"Run the {name} service."
    return command


@app.command("ui")
def run_ui() -> None:
    """Serve the built web client."""
    try:
        ui = ui_settings.from_environment(os.environ)
    except SettingsInvalid as error:
        _refuse(error)
    if ui.folder is None:
        _refuse(SettingsInvalid(["SPIN_UI_FOLDER names no folder: set it to the built web client"]))
    uvloop.run(ui_app.serve_forever(ui.folder, ui.address))


for _name in SERVICES:
    app.command(_name)(_serving(_name, (_name,)))
app.command("all")(_serving("all", SERVICES))


@keys_app.command("init")
def keys_init() -> None:
    """Make all keys and the first root document; does nothing when they are there."""
    platform = _platform()
    there = keys_exist(platform.keys_dir)
    _with_keys(platform, lambda _keys: None, create=True)
    typer.echo(f"keys are in {platform.keys_dir} already" if there else f"made the keys in {platform.keys_dir}")


@keys_app.command("rotate")
def keys_rotate(
    role: Annotated[str, typer.Argument(help="root, auth, compiler, secrets, audit or workspace")],
    compromised: Annotated[bool, typer.Option(help="Stop trusting the old key at once.")] = False,
) -> None:
    """Make the role's next key its current one. Running services follow without a restart."""
    number = _role(role, ("root", *SERVICES))
    shown_s = 0.0 if compromised else SHOWN_S
    done = _with_keys(_platform(), lambda keys: _once_shown(lambda: keys.rotate(number, compromised=compromised, shown_s=shown_s)))
    typer.echo(f"root document {done.root.version}: {role} signs with {done.key_id.hex()}")


@keys_app.command("propose")
def keys_propose(
    role: Annotated[str, typer.Argument(help="auth, compiler, secrets, audit or workspace")],
    file: Annotated[Path, typer.Argument(help="Where to write the unsigned root document.")],
    compromised: Annotated[bool, typer.Option(help="Drop the old key at once.")] = False,
) -> None:
    """Write a rotation as a root document to be signed elsewhere, with `spinctl root sign`. Nothing changes until it is installed."""
    number = _role(role, SERVICES)
    _with_keys(_platform(), lambda keys: file.write_bytes(keys.propose(number, compromised=compromised)))
    typer.echo(f"wrote {file}: have it signed with `spinctl root sign`, then `spin-service keys install {file}`")


@keys_app.command("sign-as-root")
def keys_sign_as_root(
    file: Annotated[Path, typer.Argument(help="A proposal of `spinctl root propose`; the signature is added to it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show what a root document changes, ask, and sign it with the root key that this installation holds."""

    def looked(keys: KeyStore) -> tuple[bytes, list[str]]:
        document = file.read_bytes()
        return document, keys.changes(document)

    platform = _platform()
    document, changes = _with_keys(platform, looked)
    for line in changes:
        typer.echo(line)
    if not yes:
        if not sys.stdin.isatty():
            sys.stderr.write("spin-service: nothing was signed: nobody is here to ask. Compare the lines above, then repeat it with --yes\n")
            raise typer.Exit(2)
        typer.confirm("Is that what was agreed on? Sign it", abort=True)
    _with_keys(platform, lambda keys: file.write_bytes(keys.sign_as_root(document)))
    typer.echo(f"signed {file}; `spin-service keys install {file}` puts it in force and deletes the root key here, if it drops it")


@keys_app.command("install")
def keys_install(
    file: Annotated[Path, typer.Argument(help="A root document that the roots have signed.")],
    compromised: Annotated[bool, typer.Option(help="Revoke the current keys that it drops.")] = False,
) -> None:
    """Put a root document in force. Running services follow without a restart."""
    shown_s = 0.0 if compromised else SHOWN_S
    root = _with_keys(
        _platform(),
        lambda keys: _once_shown(lambda: keys.install(file.read_bytes(), compromised=compromised, shown_s=shown_s)),
    )
    typer.echo(
        f"root document {root.version} is in force: {root.threshold(Role.ROLE_ROOT)} of {len(root.keys(Role.ROLE_ROOT))} root keys must sign the next"
    )


@keys_app.command("list")
def keys_list() -> None:
    """Show each role's keys: current, next, previous; and until when the root document is valid."""
    root = _with_keys(_platform(), lambda keys: keys.newest())
    typer.echo(f"root document {root.version}, SHA-256 {root.digest.hex()}, {expiry.validity(root)}")
    for key in root.keys(Role.ROLE_ROOT):
        typer.echo(f"{'root':10} {root.threshold(Role.ROLE_ROOT)} of {len(root.keys(Role.ROLE_ROOT))}    {key.key_id.hex()}")
    for role in (Role.Value(f"ROLE_{name.upper()}") for name in SERVICES):
        for state, key in zip(("current", "next", "previous"), root.keys(role), strict=False):
            typer.echo(f"{role_name(role):10} {state:9} {key.key_id.hex()}")
    if text := expiry.warning(root, system_clock()):
        sys.stderr.write(f"spin-service: {text}\n")


@keys_app.command("move-kek")
def keys_move_kek(kek: Annotated[str, typer.Argument(help="The address of the new key-encryption key, as SPIN_KEK will say it.")]) -> None:
    """Wrap all keys with another key-encryption key than SPIN_KEK's. The services must be stopped. Repeat it after an interruption."""
    from spin_services.kek_move import move_kek

    platform = _platform()
    try:
        done = asyncio.run(move_kek(platform, kek, os.environ))
    except (KeysUnusable, OSError) as error:
        _refuse(error)
    again = f" ({done.before} were there already)" if done.before else ""
    typer.echo(f"{done.keys} keys are under {kek} now{again}: set SPIN_KEK to it for every service, and start them")


@app.command("sign-in-link")
def sign_in_link(email: Annotated[str, typer.Option(help="Whose; the first owner's when left out.")] = "") -> None:
    """Make a one-time sign-in link, valid for 24 hours."""
    from spin_services.auth.first_sign_in import new_link

    platform = _platform()

    async def made(keys: KeyStore, kek: KekProvider) -> str:
        return await new_link(wire(platform, "auth", keys, kek), email)

    typer.echo(_opened(platform, made))


def _role(name: str, known: Sequence[str]) -> Role.ValueType:
    if name not in known:
        raise typer.BadParameter(f"no such role: {name}; there are {', '.join(known)}")
    return Role.Value(f"ROLE_{name.upper()}")


def _platform() -> Platform:
    try:
        return from_environment(os.environ)
    except SettingsInvalid as error:
        _refuse(error)


def _with_keys(platform: Platform, action: Callable[[KeyStore], T], *, create: bool = False) -> T:
    async def act(keys: KeyStore, _kek: KekProvider) -> T:
        return action(keys)

    return _opened(platform, act, create=create)


def _once_shown(change: Callable[[], T]) -> T:
    """The change, as soon as every verifier knows the keys that it makes current."""
    while True:
        try:
            return change()
        except NotShownYet as early:
            sys.stderr.write(f"spin-service: waiting {early.wait_s:.0f} s, until every verifier knows the next key\n")
            time.sleep(early.wait_s)


def _opened(platform: Platform, action: Callable[[KeyStore, KekProvider], Awaitable[T]], *, create: bool = False) -> T:
    """What the action returns; the key service is asked at most once, and let go of."""

    async def act() -> T:
        kek = open_provider(platform.kek, os.environ)
        try:
            return await action(await key_store(platform, kek, create=create), kek)
        finally:
            await kek.close()

    try:
        return asyncio.run(act())
    except (KeysUnusable, LookupError) as error:
        _refuse(error)
    except RootExpired as expired:
        _refuse(RuntimeError(f"{expired.why}: {expiry.RENEW}"))
    except Refused:
        _refuse(ValueError("the file is no root document"))
    except OSError as error:
        _refuse(RuntimeError(f"{error.filename}: {error.strerror}"))


def _refuse(error: Exception) -> NoReturn:
    for line in error.faults if isinstance(error, SettingsInvalid) else [str(error)]:
        sys.stderr.write(f"spin-service: {line}\n")
    raise typer.Exit(2)


def main() -> None:
    app()
