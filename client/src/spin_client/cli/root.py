"""root: new-key, fetch, propose, show, sign. The installation's root kept off-line, and changed by as many people as its threshold says.

All but `fetch` need no platform and no network: files go from hand to hand.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from spin_client.cli.command_context import FAILED, Command, run, secret_text
from spin_client.cli.messages import moment
from spin_client.sdk.errors import SpinError
from spin_client.sdk.private_files import write_private
from spin_client.sdk.root_ceremony import current_document, proposed_document, standing, successor, with_signature
from spin_client.sdk.root_keys import load_root_key, new_root_key
from spin_client.sdk.root_warnings import LOST, cautions, proposal_warnings, warnings_of
from spin_client.sdk.tokens import now_ms
from spin_envelope.errors import Refused
from spin_envelope.keys import VerifyKey
from spin_envelope.root import Proposal, Quorum
from spin_envelope.root_changes import Standing

group = typer.Typer(help="The installation's root keys and root documents.", no_args_is_help=True)
Passphrase = Annotated[Path | None, typer.Option("--passphrase-file", help="A file with the passphrase, or - for standard input.")]
Current = Annotated[Path, typer.Option("--current", help="The root document in force, from `spinctl root fetch`.")]


@group.command("new-key")
def new_key(context: typer.Context, file: Path, passphrase_file: Passphrase = None) -> None:
    """Make a root key in an encrypted file. Do it on a machine without a network, and keep a copy."""

    async def body(command: Command) -> None:
        passphrase = secret_text(passphrase_file, "Passphrase")
        if passphrase_file is None and secret_text(None, "The same again") != passphrase:
            raise SpinError("INVALID_ARGUMENT", "the two passphrases differ: nothing was written")
        key = new_root_key(file, passphrase)
        fields = {"file": str(file), "key_id": key.key_id.hex(), "public_key": key.public.hex()}
        command.out.done(f"Wrote {file}.\nkey id      {key.key_id.hex()}\npublic key  {key.public.hex()}", fields)

    run(context, body)


@group.command("fetch")
def fetch(context: typer.Context, file: Path) -> None:
    """Write the root document in force, verified from the pinned one on."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            root = await platform.trust.newest()
        _write(file, root.data)
        text = f"Wrote root document {root.version} to {file}.\ndigest      {root.digest.hex()}\nvalid until {moment(root.expires_at_ms)}"
        fields = {"file": str(file), "version": root.version, "digest": root.digest.hex(), "expires_at_ms": root.expires_at_ms}
        command.out.done(text, fields)
        _note(command, warnings_of(root, now_ms()))

    run(context, body)


@group.command("propose")
def propose(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write the proposal.")],
    current: Current,
    root_key: Annotated[list[str], typer.Option(help="Public key of a root, 64 hexadecimal digits; once for each.")],
    threshold: Annotated[int, typer.Option(help="How many of them must sign.", min=1)] = 1,
    days: Annotated[int, typer.Option(help="How long the document is valid.", min=1, max=3650)] = 1825,
) -> None:
    """Propose other root keys. The other roles stay as they are."""

    async def body(command: Command) -> None:
        known = current_document(_read(current))
        expires = now_ms() + days * 86_400_000
        data = successor(known, [_public(text) for text in root_key], threshold, expires)
        _write(file, data)
        _note(command, cautions(len(root_key), threshold))
        _tell(command, proposed_document(data), standing(known, proposed_document(data)))

    run(context, body)


@group.command("show")
def show(context: typer.Context, file: Path, current: Current) -> None:
    """What a proposal changes, and whose signatures it has and awaits. Exit status 1 while some are missing."""

    async def body(command: Command) -> int:
        proposal = proposed_document(_read(file))
        known = current_document(_read(current))
        found = standing(known, proposal)
        _note(command, [*warnings_of(known, now_ms()), *proposal_warnings(proposal, now_ms())])
        _tell(command, proposal, found)
        return 0 if found.complete else FAILED

    run(context, body)


@group.command("sign")
def sign_proposal(
    context: typer.Context,
    file: Path,
    current: Current,
    key: Annotated[Path, typer.Option(help="A file of `spinctl root new-key`.")],
    passphrase_file: Passphrase = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show what a proposal changes, and sign it with a root key."""

    async def body(command: Command) -> None:
        known, proposal = current_document(_read(current)), proposed_document(_read(file))
        found = standing(known, proposal)
        _note(command, [*found.basis, *found.changes, *proposal_warnings(proposal, now_ms())])
        command.confirmed(f"Sign root document {proposal.document.version}?", yes=yes)
        signed = with_signature(known, proposal, load_root_key(key, secret_text(passphrase_file, f"Passphrase of {key}")))
        _write(file, signed)
        _tell(command, proposed_document(signed), standing(known, proposed_document(signed)))

    run(context, body)


def _note(command: Command, lines: Sequence[str]) -> None:
    for line in lines:
        command.out.note(line)


def _tell(command: Command, proposal: Proposal, found: Standing) -> None:
    fields: dict[str, Any] = {
        "version": proposal.document.version,
        "expires_at_ms": proposal.document.expires_at_ms,
        "basis": found.basis,
        "changes": found.changes,
        "old_root": _quorum(found.old),
        "new_root": _quorum(found.new),
        "complete": found.complete,
    }
    if command.settings.json:
        command.out.document(fields)
        return
    command.out.text(f"Root document {proposal.document.version}, valid until {moment(proposal.document.expires_at_ms)}")
    for line in (*found.basis, *found.changes):
        command.out.text(f"  {line}")
    for name, quorum in (("old root", found.old), ("new root", found.new)):
        command.out.text(f"{name}: {len(quorum.signed)} of {quorum.threshold} signatures")
        for key_id in sorted(quorum.awaited) if not quorum.complete else ():
            command.out.text(f"  may sign: {key_id.hex()}")
    command.out.text("Complete: install it with `spin-service keys install`." if found.complete else f"Not complete yet. {LOST}")


def _quorum(quorum: Quorum) -> dict[str, Any]:
    listed = {name: sorted(key_id.hex() for key_id in ids) for name, ids in (("signed", quorum.signed), ("awaited", quorum.awaited))}
    return {**listed, "threshold": quorum.threshold, "complete": quorum.complete}


def _public(text: str) -> bytes:
    try:
        return VerifyKey(bytes.fromhex(text)).public
    except (ValueError, Refused):
        raise SpinError("INVALID_ARGUMENT", f"--root-key {text[:80]!r} is no Ed25519 public key of 64 hexadecimal digits") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise SpinError("INVALID_ARGUMENT", f"cannot read {path}: {fault.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    try:
        write_private(path, data)
    except OSError as fault:
        raise SpinError("INVALID_ARGUMENT", f"cannot write {path}: {fault.strerror}") from None
