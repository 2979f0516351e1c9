"""The log's rules.

- A leaf commits to its body by SHA-256(salt || body), and names people by pseudonym: both can be erased later, and the tree still proves.
- A log's times never go back, whatever the clock does, so that time can be searched like an index.
- Types say who may write them: what only audit itself knows (receipts, alarms, retention) no caller can claim.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import orjson

from spin_envelope.merkle import leaf_hash
from spinapis.envelope.v1.receipt_pb2 import LogLeaf

SALT = 32
WORKSPACE_ID = re.compile("[0-9a-f]{32}")
RUN_ID = re.compile(r"([0-9a-f]{32})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})")
# Who may append entries of a type, or of all types under a prefix that ends with "."; one service each, so that its key says nothing in another's
# name. What is not listed nobody appends: receipts, alarms, outputs and exposed secrets are audit's own.
WRITERS: dict[str, str] = {
    "member.": "auth",
    "api_key.": "auth",
    "approval.": "auth",
    "runtime.": "auth",
    "runtime.created": "workspace",
    "runtime.updated": "workspace",
    "runtime.deleted": "workspace",
    "workspace.": "workspace",
    "workspace.policy_changed": "auth",
    "notebook.": "workspace",
    "session.": "workspace",
    "program.": "compiler",
    "connection.": "secrets",
    "workspace_key.": "secrets",
}
# Idempotency keys that carry meaning are named after the type that carries it.
RESERVED_KEYS = {"program:": "program.", "receipt:": "receipt.", "alarm:": "alarm.", "outputs:": "outputs.", "secret.exposed:": "secret."}


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it has a place in the log."""

    key: str
    type: str
    user_id: str
    subjects: tuple[str, ...]
    body: str
    receipt: bytes = b""
    receipt_digest: bytes = b""
    # Set when the person is known by pseudonym alone; then `user_id` is empty.
    pseudonym: str = ""


@dataclass(frozen=True, slots=True)
class Leaf:
    data: bytes
    salt: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class StoredEntry:
    index: int
    type: str
    time_ms: int
    leaf: bytes
    salt: bytes
    body: str
    user_id: str
    receipt: bytes


@dataclass(frozen=True, slots=True)
class EntryFilter:
    type: str = ""
    user_id: str = ""
    subject: str = ""
    words: tuple[str, ...] = ()
    from_ms: int = 0
    until_ms: int = 0
    # Beside `subject`.
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class RunId:
    boot_id: str
    kernel_epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.boot_id}.{self.kernel_epoch}.{self.seq}"


@dataclass(frozen=True, slots=True)
class CompiledProgram:
    """What a "program.compiled" entry says about a run."""

    run_id: RunId
    program_digest: bytes
    # The session's workspace; empty where it is the one that logs the program.
    workspace_id: str
    session_id: str
    notebook_id: str
    cell_id: str
    cell_type: str
    runtime_id: str
    user_id: str = field(repr=False)


@lru_cache(4096)
def may_write(service: str, entry_type: str) -> bool:
    """Whether a service may append entries of a type: the longest rule that fits decides, and no rule means nobody."""
    fitting = [rule for rule in WRITERS if entry_type == rule or (rule.endswith(".") and entry_type.startswith(rule))]
    return bool(fitting) and WRITERS[max(fitting, key=len)] == service


def key_fits(key: str, entry_type: str) -> bool:
    """Whether an idempotency key is free for the type, or reserved for just this one."""
    return all(entry_type.startswith(owner) for prefix, owner in RESERVED_KEYS.items() if key.startswith(prefix))


def program_key(program_digest: bytes) -> str:
    return f"program:{program_digest.hex()}"


def pseudonym(key: bytes, user_id: str) -> str:
    """A person's name in one log: a keyed hash, so that nobody without the key can try names."""
    if not user_id:
        return ""
    return hmac.new(key, user_id.encode(), hashlib.sha256).hexdigest()[:32]


def make_leaf(draft: Draft, time_ms: int, actor: str, salt: bytes) -> Leaf:
    data = LogLeaf(
        type=draft.type,
        time_ms=time_ms,
        actor_pseudonym=actor,
        subjects=draft.subjects,
        body_commitment=hashlib.sha256(salt + draft.body.encode()).digest(),
        receipt_digest=draft.receipt_digest,
    ).SerializeToString()
    return Leaf(data, salt, leaf_hash(data))


def next_time(last_ms: int, now_ms: int) -> int:
    return max(last_ms, now_ms)


def words_of(text: str) -> tuple[str, ...]:
    return tuple(text.split())[:16]


def first_new(drafts: Sequence[Draft], known: dict[str, int], size: int) -> tuple[list[Draft], list[int]]:
    """Give each draft its index: the one it has already, or the next free one. Returns the new drafts and every draft's index."""
    new: list[Draft] = []
    indexes: list[int] = []
    for draft in drafts:
        index = known.get(draft.key)
        if index is None:
            index = known[draft.key] = size + len(new)
            new.append(draft)
        indexes.append(index)
    return new, indexes


def compiled_program(body: str) -> CompiledProgram:
    """Reads the body of a "program.compiled" entry. Raises ValueError when it does not say what such an entry must."""
    try:
        fields = orjson.loads(body)
        run_id = parse_run_id(fields["run_id"])
        program = CompiledProgram(
            run_id=run_id,
            program_digest=bytes.fromhex(fields["program_digest"]),
            workspace_id=str(fields.get("workspace_id", "")),
            session_id=str(fields["session_id"]),
            notebook_id=str(fields["notebook_id"]),
            cell_id=str(fields["cell_id"]),
            cell_type=str(fields["cell_type"]),
            runtime_id=str(fields["runtime_id"]),
            user_id=str(fields["user_id"]),
        )
    except (KeyError, TypeError, AttributeError) as failure:
        raise ValueError(f"not a compiled program: {failure}") from None
    if len(program.program_digest) != 32:
        raise ValueError("not a compiled program: the digest is not one")
    if program.workspace_id and not WORKSPACE_ID.fullmatch(program.workspace_id):
        raise ValueError("not a compiled program: its workspace is not one")
    return program


def parse_run_id(text: str) -> RunId:
    """Raises ValueError for anything but "<boot id>.<kernel epoch>.<seq>"."""
    match = RUN_ID.fullmatch(text)
    if match is None:
        raise ValueError("not a run's id")
    return RunId(match[1], int(match[2]), int(match[3]))
