"""runtime: add, pair, list, show, confirm, replace, remove.

The SPIN_TOKEN is printed once, or written to a file; it goes into the runtime's environment and nowhere else. A fingerprint is confirmed only after
a person compared it, or when the caller already knows it.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from spin_client.cli.command_context import Command, all_of, idempotency_key, run
from spin_client.cli.messages import moment, plain, short_enum
from spin_client.cli.start_commands import start_commands
from spin_client.sdk import pairing, removal
from spin_client.sdk.errors import SpinError
from spin_client.sdk.identifiers import fingerprint_text
from spin_client.sdk.platform import Platform
from spin_client.sdk.private_files import write_private
from spin_client.sdk.replacement import replace_record
from spin_client.sdk.tokens import now_ms
from spinapis.auth.v1 import trust_pb2
from spinapis.envelope.v1 import trust_pb2 as documents_pb2
from spinapis.workspace.v1 import workspaces_pb2

group = typer.Typer(help="Runtimes: where cells run.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="RUNTIME", help="Name or id.")]
Fingerprint = Annotated[str, typer.Option("--yes-fingerprint", metavar="HEX", help="Confirm without asking when the runtime has this fingerprint.")]
TokenFile = Annotated[Path | None, typer.Option(help="Write SPIN_TOKEN to this file (mode 0600) instead of printing it.")]
Hosts = Annotated[list[str] | None, typer.Option("--host", help="Another host:port under which clients reach it; repeat for more.")]
PUT_ASIDE = "If its data is still there, stop it and put var/broker in its SPIN_HOME (or its volume) aside first: that belongs to the old identity."
Wait = Annotated[float, typer.Option("--wait", help="Wait so many seconds for the runtime to come up.", min=0)]


@group.command("add")
def add(
    context: typer.Context,
    name: str,
    runtime_url: Annotated[str, typer.Argument(metavar="ADDRESS", help="How clients reach it: http://host:8888 or https://host:8888.")],
    default: Annotated[bool, typer.Option("--default", help="Use it when a notebook names none.")] = False,
    label: Annotated[list[str] | None, typer.Option(help="name=value; repeat for more.")] = None,
    host: Hosts = None,
    token_file: TokenFile = None,
    wait: Wait = 600.0,
    yes_fingerprint: Fingerprint = "",
) -> None:
    """Register a runtime, make its SPIN_TOKEN, wait for it to start, and confirm it."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = workspaces_pb2.CreateRuntimeRequest(
                workspace_id=workspace.id,
                idempotency_key=idempotency_key(),
                name=name,
                url=runtime_url.rstrip("/"),
                labels=_labels(label or []),
                is_default=default,
            )
            runtime = (await platform.runtimes.CreateRuntime(request)).runtime
            await _pair(command, platform, runtime, host or [], token_file, wait, yes_fingerprint)

    run(context, body)


@group.command("pair")
def pair(
    context: typer.Context, name: Name, host: Hosts = None, token_file: TokenFile = None, wait: Wait = 600.0, yes_fingerprint: Fingerprint = ""
) -> None:
    """Make a new SPIN_TOKEN for a runtime that is registered already."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            runtime = await command.runtime(platform, workspace.id, name)
            await _pair(command, platform, runtime, host or [], token_file, wait, yes_fingerprint)

    run(context, body)


@group.command("list")
def list_runtimes(context: typer.Context) -> None:
    """The runtimes that the workspace can use, with their status."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = workspaces_pb2.ListRuntimesRequest(workspace_id=workspace.id)
            found = await all_of(platform.runtimes.ListRuntimes, request, "runtimes")
            items = [{**plain(r), **await _trust(platform, workspace.id, r)} for r in found]
            command.out.rows(["id", "name", "url", "status", "trust", "is_default"], items, empty="No runtimes yet: spinctl runtime add NAME ADDRESS")

    run(context, body)


@group.command("show")
def show(context: typer.Context, name: Name) -> None:
    """A runtime with its fingerprint, as auth signed it."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            runtime = await command.runtime(platform, workspace.id, name)
            fields = {**plain(runtime), **await _trust(platform, workspace.id, runtime)}
            if fields["status"] != "not paired":
                fingerprint, _ = await pairing.fingerprint(platform, workspace.id, runtime.id, (workspace.id, runtime.workspace_id))
                fields["fingerprint"] = fingerprint.hex() if command.out.as_json else fingerprint_text(fingerprint)
            command.out.item(fields)

    run(context, body)


@group.command("confirm")
def confirm(context: typer.Context, name: Name, yes_fingerprint: Fingerprint = "") -> None:
    """Say that you compared the fingerprint with the one in the runtime's log."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            runtime = await command.runtime(platform, workspace.id, name)
            fingerprint, confirmed = await pairing.fingerprint(platform, runtime.workspace_id, runtime.id, (runtime.workspace_id,))
            if not confirmed:
                await _confirm(command, platform, runtime, fingerprint, yes_fingerprint)
            fields = {"id": runtime.id, "status": "confirmed", "fingerprint": fingerprint.hex()}
            command.out.done(f"The runtime {runtime.name} is confirmed.", fields)

    run(context, body)


@group.command("replace")
def replace(
    context: typer.Context,
    name: Name,
    address: Annotated[str, typer.Option(help="How clients reach it from now on, where it moved.")] = "",
    host: Hosts = None,
    token_file: TokenFile = None,
    wait: Wait = 600.0,
    yes_fingerprint: Fingerprint = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give a runtime that lost its data, or whose token got away, a new identity: its name, address, labels and place as the default stay."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            runtime = await command.runtime(platform, workspace.id, name)
            if runtime.workspace_id != workspace.id:
                raise SpinError("INVALID_ARGUMENT", f"{runtime.name} is inherited: replace it in its own workspace, {runtime.workspace_id}")
            question = f"Replace the runtime {runtime.name}? The one of now stops, its sessions end, and the new one is paired and confirmed anew."
            command.confirmed(question, yes=yes)
            stopped, how = await _revoked(platform, runtime)
            successor = await replace_record(platform, runtime, address.rstrip("/"))
            fields = {"event": "replaced", "id": successor.id, "replaced_id": runtime.id, "stopped": stopped}
            text = f"The runtime {runtime.name} has a new record.{how}\n{PUT_ASIDE}"
            command.out.line(fields) if command.out.as_json else command.out.text(text)
            await _pair(command, platform, successor, host or [], token_file, wait, yes_fingerprint)

    run(context, body)


@group.command("remove")
def remove(context: typer.Context, name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Take a runtime's trust away and remove it from the workspace."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            runtime = await command.runtime(platform, workspace.id, name)
            command.confirmed(f"Remove the runtime {runtime.name}? Nothing will run on it any more.", yes=yes)
            stopped, how = await _revoked(platform, runtime)
            await platform.runtimes.DeleteRuntime(
                workspaces_pb2.DeleteRuntimeRequest(workspace_id=workspace.id, runtime_id=runtime.id, etag=runtime.etag)
            )
            command.out.done(f"Removed the runtime {runtime.name}.{how}", {"id": runtime.id, "removed": True, "stopped": stopped})

    run(context, body)


async def _pair(
    command: Command, platform: Platform, runtime: workspaces_pb2.Runtime, hosts: list[str], token_file: Path | None, wait: float, known: str
) -> None:
    begun = await pairing.begin(platform, runtime, hosts=hosts)
    if token_file is not None:
        write_private(token_file, (begun.token + "\n").encode())
    _show_token(command, begun, token_file)
    if not wait:
        return
    command.out.note(f"Waiting for the runtime at {runtime.url} …")
    fingerprint = await pairing.enrol(platform, begun, wait_s=wait)
    await _confirm(command, platform, runtime, fingerprint, known)
    fields = {"event": "confirmed", "id": runtime.id, "fingerprint": fingerprint.hex()}
    if command.out.as_json:
        command.out.line(fields)
    else:
        command.out.text(f"The runtime {runtime.name} is paired and confirmed.")


def _show_token(command: Command, begun: pairing.Pairing, token_file: Path | None) -> None:
    if command.out.as_json:
        fields = {"event": "token", "id": begun.runtime.id, "expires_at_ms": begun.expires_at_ms}
        command.out.line({**fields, "token_file": str(token_file)} if token_file else {**fields, "token": begun.token})
        return
    if token_file is not None:
        command.out.text(f"SPIN_TOKEN is in {token_file}. It works once, for 24 hours.")
        return
    command.out.text("Start the runtime with this token. It is shown once, works once, and expires in 24 hours.\n")
    command.out.text(start_commands(begun.token, begun.runtime.url) + "\n")


async def _confirm(command: Command, platform: Platform, runtime: workspaces_pb2.Runtime, fingerprint: bytes, known: str) -> None:
    if known:
        if known.replace(" ", "").replace(":", "").lower() != fingerprint.hex():
            text = f"the runtime's fingerprint is {fingerprint_text(fingerprint)}, not the one given: it was not confirmed"
            raise SpinError("TRUST_REFUSED", text)
    else:
        if not sys.stdin.isatty():
            text = f"the runtime {runtime.name} is paired, not confirmed: compare {fingerprint_text(fingerprint)} with its log"
            raise SpinError("RUNTIME_NOT_CONFIRMED", text)
        command.out.note(f"Fingerprint: {fingerprint_text(fingerprint)}")
        command.confirmed("Does the runtime's own log show the same fingerprint?", yes=False)
    await pairing.confirm(platform, runtime.workspace_id, runtime.id, fingerprint)


async def _revoked(platform: Platform, runtime: workspaces_pb2.Runtime) -> tuple[bool, str]:
    """Whether it runs nothing from now on, and what to say of it. One that was never paired has no trust to take away."""
    named = {"workspace_id": runtime.workspace_id, "runtime_id": runtime.id}
    try:
        await platform.enrolment.RevokeRuntime(trust_pb2.RevokeRuntimeRequest(**named))
        until = (await platform.enrolment.GetRuntimeTrust(trust_pb2.GetRuntimeTrustRequest(**named))).runs_until_ms
    except SpinError as error:
        if error.reason not in ("NOT_FOUND", "NOT_PAIRED"):
            raise
        return True, ""
    if await removal.tell(platform, runtime):
        return True, " It was told, and stopped."
    if until <= now_ms():
        return True, " Its trust had run out."
    return False, f" It could not be told at {runtime.url}: it stops when its trust ends, {moment(until)}. Stop its process to end it now."


async def _trust(platform: Platform, workspace_id: str, runtime: workspaces_pb2.Runtime) -> dict[str, str]:
    """Asked in the workspace that the person works in: one of a child's members may not look into the parent."""
    request = trust_pb2.GetRuntimeTrustRequest(workspace_id=workspace_id, runtime_id=runtime.id)
    try:
        found = await platform.enrolment.GetRuntimeTrust(request)
    except SpinError as error:
        if error.reason in ("NOT_FOUND", "NOT_PAIRED"):
            return {"status": "not paired", "trust": ""}
        raise
    status = short_enum(documents_pb2.RuntimeStatus.DESCRIPTOR, found.status) if found.status else "not paired"
    return {"status": status, "trust": trust_text(found, now_ms()) if status == "confirmed" else ""}


def trust_text(found: trust_pb2.GetRuntimeTrustResponse, at_ms: int) -> str:
    """How long the newest trust state lasts, and how to go on after it. Whether the runtime got it is not known here."""
    if not found.trust_expires_at_ms:
        return "none yet: run a cell there"
    if at_ms < found.trust_expires_at_ms:
        return f"until {moment(found.trust_expires_at_ms)}"
    if at_ms < found.runs_until_ms:
        return f"in its grace until {moment(found.runs_until_ms)}: run a cell there to renew it"
    return f"expired {moment(found.runs_until_ms)}: nothing runs until somebody opens a session there"


def _labels(texts: list[str]) -> dict[str, str]:
    labels = dict(text.partition("=")[::2] for text in texts)
    wrong = [text for text in texts if "=" not in text]
    if wrong:
        raise SpinError("INVALID_ARGUMENT", f"the label {wrong[0]!r} must have the form name=value")
    return labels
