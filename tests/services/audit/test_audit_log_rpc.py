"""The log over gRPC: durable once, in one order, provable, searchable, and closed to those who may not write or read."""

import asyncio
import base64
from typing import Any

import orjson
import pytest

from spin_envelope import merkle
from spin_envelope.digests import body_commitment
from spin_envelope.export import verify_export
from spin_envelope.note import open_note
from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.envelope.v1.receipt_pb2 import LogLeaf
from spinapis.envelope.v1.trust_pb2 import Role
from tests.fakes.audit_bench import AUDITOR, OWNER, VIEWER, WORKSPACE, AuditBench
from tests.fakes.installation import refused


def entry(key: str, **fields: Any) -> pb.NewEntry:
    return pb.NewEntry(**({"idempotency_key": key, "type": "member.added", "user_id": OWNER, "body_json": "{}"} | fields))


async def checkpoint(bench: AuditBench) -> tuple[int, bytes]:
    answer = await bench.log.GetCheckpoint(pb.GetCheckpointRequest(workspace_id=WORKSPACE), metadata=bench.owner)
    keys = bench.installation.keys.root().keys(Role.ROLE_AUDIT)
    opened = open_note(answer.note, keys, f"spin/{WORKSPACE}")
    assert (opened.size, opened.root_hash) == (answer.size, answer.root_hash)
    return opened.size, opened.root_hash


async def test_repeating_a_key_adds_nothing(bench: AuditBench) -> None:
    assert await bench.append(entry("a"), entry("b"), entry("a")) == [0, 1, 0]
    assert await bench.append(entry("c"), entry("b")) == [2, 1]
    assert await bench.append(entry(""), entry("")) == [3, 4]
    assert (await checkpoint(bench))[0] == 5


async def test_concurrent_callers_get_one_order_without_holes(bench: AuditBench) -> None:
    answers = await asyncio.gather(*(bench.append(*(entry(f"{caller}.{place}") for place in range(3))) for caller in range(40)))
    assert sorted(index for answer in answers for index in answer) == list(range(120))
    assert all(answer == list(range(answer[0], answer[0] + 3)) for answer in answers)
    assert (await bench.verified_export()).entries == 120


async def test_every_leaf_is_proved_in_every_later_tree(bench: AuditBench) -> None:
    roots: dict[int, bytes] = {0: merkle.EMPTY_ROOT}
    for batch in (1, 2, 30, 31, 1, 33, 70):
        await bench.append(*(entry("") for _ in range(batch)))
        size, root = await checkpoint(bench)
        for old, old_root in roots.items():
            request = pb.GetConsistencyProofRequest(workspace_id=WORKSPACE, from_size=old)
            answer = await bench.log.GetConsistencyProof(request, metadata=bench.owner)
            merkle.verify_consistency(old, old_root, size, root, list(answer.hashes))
        roots[size] = root
    leaves = {one.index: merkle.leaf_hash(one.leaf) for one in await bench.entries(page_size=500)}
    for size in (33, 64, 168):
        root = roots.get(size) or (await inclusion(bench, 0, size))[1]
        for index in (0, 31, 32, size - 1):
            hashes, _ = await inclusion(bench, index, size)
            merkle.verify_inclusion(leaves[index], index, size, hashes, root)


async def inclusion(bench: AuditBench, index: int, size: int) -> tuple[list[bytes], bytes]:
    request = pb.GetInclusionProofRequest(workspace_id=WORKSPACE, index=index, tree_size=size)
    answer = await bench.log.GetInclusionProof(request, metadata=bench.owner)
    note = open_note(answer.note, bench.installation.keys.root().keys(Role.ROLE_AUDIT), f"spin/{WORKSPACE}")
    assert note.size == size
    return list(answer.hashes), note.root_hash


@pytest.mark.parametrize(("index", "size"), [(5, 5), (0, 9), (7, 3)])
async def test_there_is_no_proof_of_what_is_not_there(bench: AuditBench, index: int, size: int) -> None:
    await bench.append(*(entry("") for _ in range(5)))
    with refused() as refusal:
        await inclusion(bench, index, size)
    assert refusal.reason == "NOT_FOUND"


async def test_a_leaf_names_people_by_pseudonym_and_commits_to_its_body(bench: AuditBench) -> None:
    await bench.append(entry("a", body_json='{"who":"x"}'), entry("b", user_id="someone else"))
    second, first = await bench.entries()
    leaf = LogLeaf.FromString(first.leaf)
    assert leaf.body_commitment == body_commitment(first.salt, b'{"who":"x"}') and first.user_id == OWNER
    assert leaf.actor_pseudonym not in ("", OWNER, LogLeaf.FromString(second.leaf).actor_pseudonym)


async def test_the_log_is_searched_by_type_person_subject_words_and_time(bench: AuditBench) -> None:
    await bench.append(entry("a", type="member.added", subjects=["user:1"], body_json='{"note":"Green 100% tea"}'))
    bench.installation.clock.advance(60)
    later = bench.installation.clock()
    await bench.append(entry("b", type="member.removed", user_id="bob", subjects=["user:1", "user:2"]), entry("c", type="api_key.created"))

    async def found(**wanted: Any) -> list[int]:
        return [one.index for one in await bench.entries(**wanted)]

    assert await found() == [2, 1, 0]
    assert await found(type="member.") == [1, 0] and await found(type="member.added") == [0] and await found(type="member") == []
    assert await found(user_id="bob") == [1] and await found(user_id="nobody") == []
    assert await found(subject="user:1") == [1, 0] and await found(subject="user:2") == [1]
    assert await found(text="tea green") == [0] and await found(text="100%") == [0] and await found(text="10%") == []
    assert await found(from_ms=later) == [2, 1] and await found(until_ms=later) == [0]
    assert await found(type="member.", subject="user:1", from_ms=later) == [1]


async def test_pages_hold_while_the_log_grows(bench: AuditBench) -> None:
    await bench.append(*(entry("") for _ in range(7)))
    seen, token = [], ""
    while True:
        request = pb.ListEntriesRequest(workspace_id=WORKSPACE, page_size=3, page_token=token)
        page = await bench.log.ListEntries(request, metadata=bench.owner)
        seen += [one.index for one in page.entries]
        token = page.next_page_token
        await bench.append(entry(""))
        if not token:
            break
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    first = await bench.log.ListEntries(pb.ListEntriesRequest(workspace_id=WORKSPACE, page_size=2), metadata=bench.owner)
    with refused() as refusal:
        await bench.entries(page_token=first.next_page_token, type="member.")
    assert refusal.reason == "PAGE_TOKEN_INVALID"


async def test_a_watcher_sees_what_was_and_what_comes(bench: AuditBench) -> None:
    await bench.append(entry("a"), entry("b"))
    call = bench.log.WatchEntries(pb.WatchEntriesRequest(workspace_id=WORKSPACE, from_index=1), metadata=bench.owner)
    stream = aiter(call)
    async with asyncio.timeout(10):
        assert (await anext(stream)).entry.index == 1
        await bench.append(entry("c"), entry("d"))
        assert [(await anext(stream)).entry.index for _ in range(2)] == [2, 3]
    call.cancel()


@pytest.mark.parametrize(
    ("service", "entry_type", "key"),
    [
        ("workspace", "program.compiled", "x"),
        ("compiler", "receipt.end", "x"),
        ("auth", "alarm.cleared", "x"),
        ("secrets", "runtime.enrolled", "x"),
        ("workspace", "connection.created", "x"),
        # One service's stolen key makes nobody a member, approves nothing and destroys no key in the log's eyes.
        ("compiler", "member.role_changed", "x"),
        ("compiler", "approval.approved", "x"),
        ("workspace", "api_key.created", "x"),
        ("auth", "workspace_key.destroyed", "x"),
        ("secrets", "workspace.deleted", "x"),
        ("workspace", "runtime.confirmed", "x"),
        ("compiler", "anything.else", "x"),
    ],
)
async def test_no_service_writes_what_is_anothers_to_say(bench: AuditBench, service: str, entry_type: str, key: str) -> None:
    with refused() as refusal:
        await bench.append(entry(key, type=entry_type), service=service)
    assert refusal.reason == "PERMISSION_DENIED"
    assert (await checkpoint(bench))[0] == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "Not A Type"},
        {"idempotency_key": "program:00"},
        {"idempotency_key": "nul\0"},
        {"body_json": "[1]"},
        {"body_json": "not json"},
        {"subjects": [""]},
        {"user_id": "x" * 300},
    ],
)
async def test_a_malformed_entry_fails_its_own_caller_alone(bench: AuditBench, fields: dict[str, Any]) -> None:
    async def malformed() -> None:
        with refused() as refusal:
            await bench.append(entry("bad", **fields))
        assert refusal.reason == "INVALID_ARGUMENT"

    good = await asyncio.gather(malformed(), *(bench.append(entry(f"good{place}")) for place in range(5)))
    assert sorted(answer[0] for answer in good[1:] if answer is not None) == list(range(5))


async def test_people_cannot_append_and_only_readers_read(bench: AuditBench) -> None:
    with refused() as refusal:
        await bench.log.AppendEntries(pb.AppendEntriesRequest(workspace_id=WORKSPACE, entries=[entry("a")]), metadata=bench.owner)
    assert refusal.reason == "SERVICE_ONLY"
    await bench.append(entry("a"))
    viewer, auditor = bench.installation.as_user(VIEWER), bench.installation.as_user(AUDITOR)
    with refused() as refusal:
        await bench.log.ListEntries(pb.ListEntriesRequest(workspace_id=WORKSPACE), metadata=viewer)
    assert refusal.reason == "PERMISSION_DENIED"
    assert len((await bench.log.ListEntries(pb.ListEntriesRequest(workspace_id=WORKSPACE), metadata=auditor)).entries) == 1
    with refused() as refusal:
        await bench.log.ListEntries(pb.ListEntriesRequest(workspace_id="ff" * 16), metadata=auditor)
    assert refusal.reason == "NOT_FOUND"


async def test_an_empty_log_is_exported_and_proved_too(bench: AuditBench) -> None:
    assert (await bench.verified_export()).tree_size == 0
    assert await checkpoint(bench) == (0, merkle.EMPTY_ROOT)


async def test_two_workspaces_have_two_logs(bench: AuditBench) -> None:
    other = "cd" * 16
    first, second = await asyncio.gather(bench.append(entry("a")), bench.append(entry("a"), workspace_id=other))
    assert first == second == [0]


async def test_an_export_is_cut_at_its_checkpoint(bench: AuditBench) -> None:
    await bench.append(*(entry("", body_json=orjson.dumps({"n": place}).decode()) for place in range(50)))
    lines = await bench.export()
    header = orjson.loads(lines[0])
    assert header["kind"] == "full" and len(header["root_documents"]) == 1
    assert base64.b64decode(orjson.loads(lines[1])["body"]) == b'{"n":0}'
    assert verify_export(lines).entries == 50
