"""When a connection was last used: shown to who sees its configuration, asked for once a page, and missing where audit does not say."""

from typing import Any

from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.secrets_bench import PARENT, WORKSPACE, SecretsBench


async def got(bench: SecretsBench, connection: pb.Connection, user: str) -> pb.Connection:
    request = pb.GetConnectionRequest(workspace_id=WORKSPACE, connection_id=connection.id)
    return (await bench.stub.GetConnection(request, metadata=bench.by(user))).connection


def shown(connection: pb.Connection) -> int | None:
    return connection.last_used_at_ms if connection.HasField("last_used_at_ms") else None


async def test_used_and_never_used(bench: SecretsBench) -> None:
    used, idle = await bench.create("a"), await bench.create("b")
    bench.history.used[WORKSPACE, used.id] = 1_700_000_000_000
    assert [shown(one) for one in await bench.listed("editor")] == [1_700_000_000_000, 0]
    assert (shown(await got(bench, used, "editor")), shown(await got(bench, idle, "editor"))) == (1_700_000_000_000, 0)


async def test_one_question_for_a_page_and_none_for_who_may_not_know(bench: SecretsBench) -> None:
    for place in range(5):
        await bench.create(f"c{place}")
    await bench.listed()
    assert bench.history.asked == 1
    for user in ("agent", "viewer"):
        assert [shown(one) for one in await bench.listed(user)] == [None] * 5
    assert bench.history.asked == 1


async def test_what_is_inherited_says_nothing(bench: SecretsBench) -> None:
    shared: Any = await bench.create("shared", workspace_id=PARENT)
    bench.history.used |= {(PARENT, shared.id): 1_700_000_000_000, (WORKSPACE, shared.id): 1_600_000_000_000}
    assert [shown(one) for one in await bench.listed()] == [None]
    assert [shown(one) for one in await bench.listed(workspace_id=PARENT)] == [1_700_000_000_000]


async def test_without_audit_the_list_is_there_all_the_same(bench: SecretsBench) -> None:
    made = await bench.create()
    bench.history.broken = True
    assert [(one.name, shown(one)) for one in await bench.listed()] == [("warehouse", None)]
    assert shown(await got(bench, made, "owner")) is None
