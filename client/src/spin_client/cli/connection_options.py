"""What commands that write connections share: their options, and how these become what a request says."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from spin_client.cli.command_context import secret_text
from spin_client.cli.members import RoleName
from spin_client.sdk.errors import SpinError
from spinapis.secrets.v1 import secrets_pb2

DAY_MS = 86_400_000

Name = Annotated[str, typer.Argument(metavar="CONNECTION", help="Name or id.")]
Use = Annotated[list[str] | None, typer.Option(metavar="WHO", help="May use it: a role, or a person's id; repeat for more.")]
Manage = Annotated[list[str] | None, typer.Option(metavar="WHO", help="May change it, and use it; repeat for more.")]
SetField = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Public configuration; repeat for more.")]
ConfigFile = Annotated[Path | None, typer.Option(help="Public configuration as a JSON object.")]
References = Annotated[
    Path | None,
    typer.Option(
        "--references-from",
        help="Where secret managers of the runtime hold fields of the credential: "
        """a JSON object such as {"token": {"manager": "vault", "path": "kv/app"}}; - is standard input.""",
    ),
]
Host = Annotated[
    list[str] | None, typer.Option(help="Host that the credential may be sent to, by https unless http:// stands before it; repeat for more.")
]
Operation = Annotated[list[str] | None, typer.Option(help="Operation that cells may use; repeat for more. None: all of its kind.")]
Expires = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day that the credential expires; the log reminds.")]


def grants_of(use: Sequence[str] | None, manage: Sequence[str] | None) -> list[secrets_pb2.ConnectionGrant]:
    levels = ((secrets_pb2.CONNECTION_LEVEL_USE, use), (secrets_pb2.CONNECTION_LEVEL_MANAGE, manage))
    return [_grant(level, who) for level, named in levels for who in named or []]


def _grant(level: secrets_pb2.ConnectionLevel.ValueType, who: str) -> secrets_pb2.ConnectionGrant:
    if who in list(RoleName):
        return secrets_pb2.ConnectionGrant(level=level, role=RoleName(who).value_in_proto)
    return secrets_pb2.ConnectionGrant(level=level, user_id=who)


def config_of(known: str, config_file: Path | None, set_field: Sequence[str] | None) -> str | None:
    """The configuration: that of the file, or the known one, with what is set. None when neither says anything."""
    if config_file is None and not set_field:
        return None
    stem = object_of(_text_of(config_file), str(config_file)) if config_file else object_of(known, "the configuration")
    return json.dumps({**stem, **pairs_of(list(set_field or []))})


def _text_of(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as fault:
        raise SpinError("INVALID_ARGUMENT", f"cannot read {file}: {fault}") from None


def references_of(source: Path | None, credential: Path | None) -> str | None:
    if source is None:
        return None
    if str(source) == "-" and str(credential) == "-":
        raise SpinError("INVALID_ARGUMENT", "standard input is one of the two: the credential or the references")
    return json.dumps(object_of(secret_text(source, "References"), "the references"))


def day_ms(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp() * 1000)


def last_used(connection: secrets_pb2.Connection, now_ms: int) -> str:
    """For people; empty where nobody says."""
    if not connection.HasField("last_used_at_ms"):
        return ""
    if not connection.last_used_at_ms:
        return "never"
    days = max(0, now_ms - connection.last_used_at_ms) // DAY_MS
    return ["today", "yesterday"][days] if days < 2 else f"{days} days ago"


def object_of(text: str, where: str) -> dict[str, Any]:
    """The error never repeats the text: it may be a credential."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SpinError("INVALID_ARGUMENT", f'{where} must be a JSON object, such as {{"token": "…"}}')
    return value


def pairs_of(texts: list[str]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SpinError("INVALID_ARGUMENT", f"{text!r} must have the form name=value")
        try:
            pairs[name] = json.loads(value)
        except ValueError:
            pairs[name] = value
    return pairs
