"""What the services read: tokens, headers, page tokens, notebooks and connections."""

import base64
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from spin_cells.registry import connection_kinds
from spin_envelope.digests import signed_digest
from spin_envelope.errors import Refused
from spin_envelope.hpke_keys import RecipientKey, Suite
from spin_envelope.parsing import parse
from spin_services.database import pages
from spin_services.rpc import trace
from spin_services.rpc.errors import STATUS_METADATA, ServiceError, from_rpc_error, invalid, to_status
from spin_services.rpc.identity import TokenVerifier, bearer
from spin_services.runtime_trust import VerifiedRuntime, verify_hello
from spin_services.secrets import entries
from spin_services.secrets import wire as secrets_wire
from spin_services.secrets.domain import Connection
from spin_services.secrets.kinds import Kinds
from spin_services.workspace import ipynb
from spin_services.workspace import wire as workspace_wire
from spin_services.workspace.notebook_format import NotAllowed
from spinapis.envelope.v1.attach_pb2 import Challenge, Hello
from spinapis.envelope.v1.trust_pb2 import ROLE_AUTH
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1.notebooks_pb2 import Cell, UpdateNotebookRequest
from tests.fuzz.documents import IDENTITY, by_role, client, hello_fields, payload_of, plane, root, signed, wire
from tests.fuzz.target import Target, text_of

REFERENCES = '{"username":{"manager":"vault","path":"kv/app"}}'
ISSUER, LISTING = "https://spin.example.org", "members:a"
CLAIMS = {"iss": ISSUER, "aud": "spin", "sub": "u" * 32, "sid": "0" * 32, "kind": "person", "iat": 1_700_000_000, "exp": 1_700_000_600}


def verifier() -> TokenVerifier:
    return TokenVerifier("compiler", ISSUER, root, plane().clock)


def authorization(data: bytes) -> None:
    """The header as it came, for people and for services."""
    token = bearer(text_of(data))
    try:
        verifier().service(token)
    except ServiceError:
        verifier().user(token)


def claims(data: bytes) -> None:
    """Claims that auth's own key signed."""
    verifier().user(_signed_claims(data))


def _signed_claims(data: bytes) -> str:
    key = plane().keys[ROLE_AUTH]
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    return jwt.api_jws.encode(data, private, algorithm="EdDSA", headers={"kid": key.key_id.hex()})


def page_token(data: bytes) -> None:
    """Once as it came, and once with the mark that makes it this list's own, which anybody can compute."""
    try:
        pages.decode(LISTING, text_of(data), int, str)
    except ServiceError:
        pages.decode(LISTING, base64.urlsafe_b64encode(pages._mark(LISTING, data) + data).decode(), int, str)


def notebook_file(data: bytes) -> None:
    """What comes in goes out again, and in again."""
    ipynb.imported(ipynb.exported(ipynb.imported(data)))


def notebook_content(data: bytes) -> None:
    said = parse(data, UpdateNotebookRequest)
    content = workspace_wire.content_in(said.title or "t", said.cells, said.metadata_json)
    ipynb.exported(content)


@cache
def kinds() -> Kinds:
    return Kinds(connection_kinds())


def connection(data: bytes) -> None:
    entries.new_connection(parse(data, secrets_pb2.CreateConnectionRequest), kinds())


def connection_changes(data: bytes) -> None:
    """Of a connection with a token, whose username a manager holds."""
    secrets_wire.changes(parse(data, secrets_pb2.UpdateConnectionRequest), known(), kinds())


@cache
def known() -> Connection:
    lists = {"allowed_hosts": ("a.example",), "allowed_operations": ("rest.request",), "approval_operations": (), "credential_fields": ("token",)}
    at = {"version": 1, "created_at_ms": 0, "updated_at_ms": 0, "expires_at_ms": 0}
    rest: dict[str, Any] = {**lists, **at, "is_default": False, "grants": (), "exposable": False}
    return Connection(id="a" * 32, workspace_id="b" * 32, name="a", kind="rest", config_json="{}", references_json=REFERENCES, **rest)


def connection_import(data: bytes) -> None:
    """What the service does with an import before it asks the database: read, tell, refuse."""
    read = entries.read_entries(parse(data, secrets_pb2.ImportConnectionsRequest), kinds())
    read = entries.with_taken(read, {"taken"})
    for place, one in enumerate(read):
        secrets_wire.to_outcome(place, one, "b" * 32)
    if any(one.faults for one in read):
        raise entries.refusal(read)


def hello(data: bytes) -> None:
    """A Hello that an enrolled runtime's own key signed; the challenge is a good one."""
    runtime = VerifiedRuntime(plane().workspace_id, plane().runtime_id, IDENTITY.verify_key, 1)
    said = {"session_id": client().session_id.hex(), "user_id": client().user_id, "now_ms": plane().clock()}
    verify_hello(root(), runtime, signed(data, Hello, IDENTITY), _challenge(), **said)


@cache
def _challenge() -> bytes:
    asked = Challenge.FromString(payload_of(plane().challenge(client())))
    asked.nonce = b"n" * 32
    return by_role(wire(asked), Challenge)


def traceparent(data: bytes) -> None:
    trace.continued(text_of(data), 0.5)


def neighbour_error(data: bytes) -> None:
    from_rpc_error(AioRpcError(StatusCode.INTERNAL, Metadata(), Metadata((STATUS_METADATA, data))), "audit")


def _tokens() -> list[bytes]:
    good = _signed_claims(json.dumps(CLAIMS).encode())
    deep = base64.urlsafe_b64encode(b'{"a":' + b"[" * 2000).rstrip(b"=").decode()
    return [f"Bearer {token}".encode() for token in (good, good[:-4], f"{deep}.e30.e30", "a.b.c", "e30.e30.", f"e30.{deep}.e30")]


def _notebooks() -> list[bytes]:
    code = {"cell_type": "code", "id": "a", "source": ["x\n", "y"], "metadata": {"spin": {"fields": {"a": 1}, "linked": True}}, "execution_count": 1}
    output = {"output_type": "stream", "name": "stdout", "text": ["a"]}
    new = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"name": "ir", "language": "R"}}, "cells": [code | {"outputs": [output]}]}
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": "n"}, "worksheets": [{"cells": [{"cell_type": "markdown", "source": "x"}]}]}
    oldest = {"nbformat": 2, "metadata": {"name": ""}, "worksheets": [{"cells": [{"cell_type": "code", "input": "x", "outputs": []}]}]}
    return [json.dumps(one).encode() for one in (new, old, oldest, {"cells": []}, {"nbformat": 4, "cells": [[]], "metadata": {}})]


def _content() -> bytes:
    cells = [
        Cell(id="a", cell_type="python", source="x", fields_json='{"a": 1}', outputs_json='[{"output_type": "error"}]', execution_count=1),
        Cell(id="b", cell_type="markdown", source="y", attachments_json='{"a.png": {"image/png": ""}}', linked=True),
    ]
    return wire(UpdateNotebookRequest(title="t", cells=cells, metadata_json='{"kernelspec": {"name": "python3"}}'))


def _connections() -> list[bytes]:
    config, secret = json.dumps({"base_url": "https://a.example", "auth": "bearer"}), json.dumps({"token": "t" * 20})
    new = {"name": "a", "kind": "rest", "config_json": config, "credential_json": secret, "allowed_hosts": ["a.example:8443"]}
    return [wire(secrets_pb2.CreateConnectionRequest(**(new | change))) for change in ({}, {"kind": "sql"}, {"allowed_operations": ["rest.request"]})]


def _changes() -> list[bytes]:
    grants = [secrets_pb2.ConnectionGrant(level=secrets_pb2.CONNECTION_LEVEL_USE, user_id="u")]
    changes = ({"name": "b", "config_json": '{"base_url": 1}'}, {"grants": grants, "replace_grants": True}, {"replace_allowed": True})
    return [wire(secrets_pb2.UpdateConnectionRequest(**change)) for change in changes]


def _imports() -> list[bytes]:
    secret, grants = json.dumps({"token": "t" * 20}), [secrets_pb2.ConnectionGrant(level=secrets_pb2.CONNECTION_LEVEL_MANAGE, role=1)]
    entry = secrets_pb2.ConnectionEntry
    good = [
        entry(name="a", kind="rest", credential_json=secret),
        entry(name="b", kind="rest", references_json=REFERENCES, grants=grants, exposable=True),
    ]
    bad = [entry(name="taken", kind="rest"), entry(name="c", kind="sql", is_default=True), entry(name="c", kind="rest", references_json='{"x": [1]}')]
    return [wire(secrets_pb2.ImportConnectionsRequest(workspace_id="w", entries=some)) for some in (good, bad, [*good, *bad], [])]


def _hello() -> bytes:
    made = hello_fields()
    made.boot_hpke_key.CopyFrom(RecipientKey.generate(Suite(1)).public)
    made.challenge_digest = signed_digest(_challenge())
    return wire(made)


def _status() -> bytes:
    return wire(to_status(invalid("field", "text")))


PAGES = (b"", pages.encode(LISTING, "a", 1).encode(), b"[1, 2]", b'{"a": 1}', b"[", b"\xff", b'[["a"]]', b"[1.5]")
TARGETS = (
    Target("services.authorization", authorization, (ServiceError,), _tokens),
    Target("services.claims", claims, (ServiceError,), lambda: [json.dumps(CLAIMS | change).encode() for change in ({}, {"act": ["a"]}, {"act": 1})]),
    Target("services.page_token", page_token, (ServiceError,), lambda: PAGES),
    Target("services.notebook_file", notebook_file, (NotAllowed,), _notebooks),
    Target("services.notebook_content", notebook_content, (ServiceError, Refused), lambda: [_content()]),
    Target("services.connection", connection, (ServiceError, Refused), _connections),
    Target("services.connection_changes", connection_changes, (ServiceError, Refused), _changes),
    Target("services.connection_import", connection_import, (ServiceError, Refused), _imports),
    Target("services.hello", hello, (ServiceError,), lambda: [_hello()]),
    Target("services.traceparent", traceparent, (), lambda: [f"00-{'a' * 32}-{'b' * 16}-01".encode()]),
    Target("services.neighbour_error", neighbour_error, (), lambda: [_status()]),
)
