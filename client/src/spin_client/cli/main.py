"""The program: its commands, the options that every command takes, and what becomes of errors.

--json, --url, --workspace and --ca-file may stand anywhere on the line. No error shows a stack trace unless SPIN_DEBUG=1 asks for it.
"""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from spin_client.cli import (
    api_keys,
    approvals,
    audit,
    connections,
    keys,
    members,
    notebooks,
    root,
    run_notebook,
    runtimes,
    sessions,
    sign_in,
    workspaces,
)
from spin_client.cli.command_context import INTERRUPTED, REFUSED, UNREACHABLE, USAGE
from spin_client.cli.printing import Printer
from spin_client.cli.settings import Settings
from spin_client.sdk.errors import SpinError

_FLAGS, _VALUED = frozenset({"--json"}), frozenset({"--url", "--workspace", "--ca-file"})
EPILOG = "Every command takes --json, --url, --workspace and --ca-file. Exit status: 0 done, 1 failed, 2 usage, 3 nobody answers, 4 refused."

app = typer.Typer(name="spinctl", help="SPIN from a terminal: sign in, run notebooks, add runtimes, verify the audit log.", epilog=EPILOG,
                  pretty_exceptions_enable=False, no_args_is_help=True, rich_markup_mode=None)  # fmt: skip


@app.callback()
def options(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="Address of the platform. [env SPIN_URL; default http://localhost:8080]")] = None,
    workspace: Annotated[str | None, typer.Option(help="Workspace by name or id. [env SPIN_WORKSPACE]")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="PEM file of trusted authorities. [env SPIN_CA_FILE]")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    context.obj = Settings.resolve(os.environ, url=url, workspace=workspace, ca_file=ca_file, json_output=json)


sign_in.register(app)
run_notebook.register(app)
for _group, _name in (
    (workspaces.group, "workspace"),
    (members.group, "member"),
    (api_keys.group, "api-key"),
    (approvals.group, "approval"),
    (notebooks.group, "notebook"),
    (runtimes.group, "runtime"),
    (connections.group, "connection"),
    (keys.group, "key"),
    (sessions.group, "session"),
    (audit.group, "audit"),
    (root.group, "root"),
):
    app.add_typer(_group, name=_name)


def main() -> None:
    """Entry point of `spinctl`."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Runs one command line and returns the exit status."""
    debug = os.environ.get("SPIN_DEBUG", "") not in ("", "0")
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, format="spinctl: %(message)s")
    line = hoisted(arguments)
    printer = Printer(as_json="--json" in line)
    try:
        return int(typer.main.get_command(app).main(line, prog_name="spinctl", standalone_mode=False) or 0)
    except TyperException as error:
        return _usage(printer, error)
    except (Abort, KeyboardInterrupt):
        printer.note("Interrupted.")
        return INTERRUPTED
    except SpinError as error:
        printer.error(error)
        _trace(debug)
        return exit_status(error)
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the program's last line of defence: a person gets a sentence
        printer.error(SpinError("INTERNAL_CLIENT", f"spinctl failed: {type(error).__name__}: {error}; SPIN_DEBUG=1 shows where"))
        _trace(debug)
        return REFUSED


def exit_status(error: SpinError) -> int:
    if error.unreachable:
        return UNREACHABLE
    return USAGE if error.reason == "INVALID_ARGUMENT" else REFUSED


def hoisted(arguments: Sequence[str]) -> list[str]:
    """Moves the options of every command to the front, where the parser wants them."""
    front, rest = [], list(arguments)
    kept: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            kept += [word, *rest]
            break
        name = word.partition("=")[0]
        if word in _FLAGS or (name in _VALUED and "=" in word):
            front.append(word)
        elif word in _VALUED and rest:
            front += [word, rest.pop(0)]
        else:
            kept.append(word)
    return front + kept


def _usage(printer: Printer, error: TyperException) -> int:
    text = error.format_message()
    if "\n" in text.strip():
        # A group without a command: its help.
        sys.stderr.write(text + "\n")
        return USAGE
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "spinctl"
    printer.error(SpinError("INVALID_ARGUMENT", f"{text.rstrip('.')}. See `{path} --help`"))
    return USAGE


def _trace(debug: bool) -> None:
    if debug:
        traceback.print_exc()
