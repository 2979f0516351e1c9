"""audit: export, verify, log, checkpoint, alarms. `verify` needs a file and nothing else: no platform, no sign-in."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from spin_client.cli.command_context import FAILED, Command, all_of, run
from spin_client.cli.messages import moment, plain
from spin_client.sdk.errors import SpinError
from spin_envelope.errors import Refused
from spin_envelope.export import ExportInvalid, Summary, verify_export
from spin_envelope.note import open_note, origin_of
from spinapis.audit.v1 import audit_pb2
from spinapis.envelope.v1 import receipt_pb2
from spinapis.envelope.v1 import trust_pb2 as documents_pb2

group = typer.Typer(help="The audit log.", no_args_is_help=True)


@group.command("export")
def export(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; by default standard output.")] = None,
    session: Annotated[str, typer.Option(help="Only what concerns this session, with proofs.")] = "",
) -> None:
    """Write the log as JSON Lines, with all that `audit verify` needs."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = audit_pb2.ExportLogRequest(workspace_id=workspace.id, session_id=session)
            size, target = 0, None
            try:
                async for part in platform.log.ExportLog(request):
                    if target is None:
                        # Not before the first bytes: a refused export leaves no empty file.
                        target = output.open("wb") if output else sys.stdout.buffer
                    target.write(part.lines)
                    size += len(part.lines)
            except OSError as fault:
                raise SpinError("INVALID_ARGUMENT", f"cannot write {output}: {fault.strerror}") from None
            finally:
                if target is not None and output:
                    target.close()
            if output:
                command.out.done(f"Wrote {output} ({size} bytes).", {"file": str(output), "bytes": size})
            else:
                sys.stdout.buffer.flush()

    run(context, body)


@group.command("verify")
def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An export; - is standard input.")],
    root_digest: Annotated[str, typer.Option(help="Digest of the first root document, if you know it by other means.")] = "",
) -> None:
    """Check an export offline: every proof, every signature, every receipt. Reports the first entry that fails."""

    async def body(command: Command) -> int:
        digest = _digest(root_digest)
        try:
            summary = verify_export(_lines(file), digest)
        except ExportInvalid as fault:
            fields = {"verified": False, "line": fault.line, "index": fault.index, "text": fault.text}
            command.out.done(f"NOT VERIFIED: {file}, {fault}", fields)
            return FAILED
        except OSError as fault:
            raise SpinError("INVALID_ARGUMENT", f"cannot read {file}: {fault.strerror}") from None
        command.out.done(_verdict(summary), {"verified": True, **_fields(summary)})
        return 0

    run(context, body)


@group.command("log")
def log(
    context: typer.Context,
    kind: Annotated[str, typer.Option("--type", help="Exact type, or a prefix that ends with a dot.")] = "",
    subject: Annotated[str, typer.Option(help="kind:hex of what it happened to.")] = "",
    text: Annotated[str, typer.Option(help="Words in the body.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many; 0: all.", min=0)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show entries as they come, until Ctrl-C.")] = False,
) -> None:
    """Entries of the log, newest first."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            if follow:
                size = (await platform.log.GetCheckpoint(audit_pb2.GetCheckpointRequest(workspace_id=workspace.id))).size
                request = audit_pb2.WatchEntriesRequest(workspace_id=workspace.id, from_index=size)
                async for answer in platform.log.WatchEntries(request):
                    _show_entry(command, answer.entry)
                return
            listed = audit_pb2.ListEntriesRequest(workspace_id=workspace.id, type=kind, subject=subject, text=text)
            found = await all_of(platform.log.ListEntries, listed, "entries", limit=limit)
            command.out.rows(["index", "time", "type", "subjects"], [_entry(entry) for entry in found])

    run(context, body)


@group.command("checkpoint")
def checkpoint(context: typer.Context) -> None:
    """The log's signed checkpoint, verified with the pinned root."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            answer = await platform.log.GetCheckpoint(audit_pb2.GetCheckpointRequest(workspace_id=workspace.id))
            root = await platform.trust.root()
            try:
                signed = open_note(answer.note, root.keys(documents_pb2.ROLE_AUDIT), origin_of(bytes.fromhex(workspace.id)))
            except Refused:
                raise SpinError("TRUST_REFUSED", "the checkpoint is not signed by this platform's audit service") from None
            fields = {"size": signed.size, "root_hash": signed.root_hash.hex(), "note": answer.note}
            command.out.done(answer.note.rstrip("\n"), fields)

    run(context, body)


@group.command("alarms")
def alarms(context: typer.Context, everything: Annotated[bool, typer.Option("--all", help="Cleared ones too.")] = False) -> None:
    """Gaps, forks, missing ends, hidden outputs."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = audit_pb2.ListAlarmsRequest(workspace_id=workspace.id, open_only=not everything)
            found = await all_of(platform.history.ListAlarms, request, "alarms")
            items = [{**plain(a), "raised": moment(a.raised_at_ms), "cleared": moment(a.cleared_at_ms)} for a in found]
            command.out.rows(["raised", "type", "text", "run_id", "cleared"], items, empty="No alarms.")

    run(context, body)


def _lines(file: Path) -> Iterator[bytes]:
    if str(file) == "-":
        yield from sys.stdin.buffer
        return
    with file.open("rb") as lines:
        yield from lines


def _digest(text: str) -> bytes | None:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b"?"
    if text and len(digest) != 32:
        raise SpinError("INVALID_ARGUMENT", "--root-digest must be 64 hexadecimal digits")
    return digest or None


def _fields(summary: Summary) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in vars(summary).items()}


def _verdict(summary: Summary) -> str:
    kind = "the whole log" if summary.full else f"part of a log of {summary.tree_size} entries"
    lines = [f"Verified: {summary.entries} entries ({kind}), {summary.receipts} receipts, workspace {summary.workspace_id.hex()}."]
    if summary.erased_bodies:
        lines.append(f"{summary.erased_bodies} bodies were erased; that they existed is proved.")
    if summary.receipts_unproved:
        lines.append(f"{summary.receipts_unproved} receipts cannot be proved from this file alone.")
    if summary.receipt_breaks:
        lines.append(f"{summary.receipt_breaks} places where a runtime's receipts do not follow one another: see `spinctl audit alarms`.")
    return "\n".join(lines)


def _entry(entry: audit_pb2.Entry) -> dict[str, Any]:
    leaf = receipt_pb2.LogLeaf.FromString(entry.leaf)
    return {**plain(entry), "type": leaf.type, "time": moment(leaf.time_ms), "time_ms": leaf.time_ms, "subjects": list(leaf.subjects)}


def _show_entry(command: Command, entry: audit_pb2.Entry) -> None:
    fields = _entry(entry)
    if command.out.as_json:
        command.out.line(fields)
    else:
        command.out.text(f"{fields['index']}\t{fields['time']}\t{fields['type']}\t{', '.join(fields['subjects'])}")
        sys.stdout.flush()
