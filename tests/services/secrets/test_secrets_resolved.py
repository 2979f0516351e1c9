"""What a compiler is told of secrets: those that the caller may use, and whether they are exposable; of the others nothing."""

from typing import Any

from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.secrets_bench import PARENT, WORKSPACE, SecretsBench
from tests.services.secrets.test_connection_grants import EDITOR, USE

KIND: dict[str, Any] = {"kind": "secret", "config_json": "{}", "credential_json": '{"value": "correct horse"}', "allowed_hosts": []}
KIND |= {"allowed_operations": ["secret.read"]}


async def resolved(bench: SecretsBench, *names: str, every: bool = False, user: str = "agent") -> list[tuple[str, bool]]:
    request = pb.ResolveConnectionsRequest(workspace_id=WORKSPACE, secrets=names, every_secret=every)
    answer = await bench.stub.ResolveConnections(request, metadata=bench.installation.as_service("compiler", "secrets", user))
    assert not answer.connections
    return [(secret.name, secret.exposable) for secret in answer.secrets]


async def test_a_secret_comes_with_whether_it_is_exposable_and_never_with_its_value(bench: SecretsBench) -> None:
    await bench.create("salt", **KIND, exposable=True)
    await bench.create("hidden", **KIND)
    await bench.create("tickets")
    assert await resolved(bench, "salt", "hidden", "nowhere", "tickets") == [("salt", True), ("hidden", False), ("tickets", False)]


async def test_what_may_not_be_used_reads_like_what_does_not_exist(bench: SecretsBench) -> None:
    await bench.create("salt", **KIND, exposable=True, grants=[pb.ConnectionGrant(level=USE, role=EDITOR)])
    assert await resolved(bench, "salt", "nowhere", every=True) == []
    assert await resolved(bench, "salt", user="editor") == [("salt", True)]


async def test_every_secret_is_the_nearest_exposable_one_of_each_name(bench: SecretsBench) -> None:
    await bench.create("salt", **KIND, exposable=True)
    await bench.create("pepper", **KIND, exposable=True, workspace_id=PARENT)
    # Covered by nearer ones: a name means one connection.
    await bench.create("salt", **KIND, exposable=True, workspace_id=PARENT)
    await bench.create("tickets", **KIND, exposable=True, workspace_id=PARENT)
    await bench.create("tickets")
    await bench.create("hidden", **KIND)
    assert await resolved(bench, every=True) == [("pepper", True), ("salt", True)]


async def test_one_more_than_a_program_may_hold_shows_that_there_are_too_many(bench: SecretsBench) -> None:
    for number in range(35):
        await bench.create(f"s{number:02}", **KIND, exposable=True)
    assert len(await resolved(bench, every=True)) == 33


async def names(bench: SecretsBench, user: str = "agent", page_size: int = 0) -> list[list[str]]:
    """Page by page."""
    pages, token = [], ""
    while not pages or token:
        request = pb.ListSecretNamesRequest(workspace_id=WORKSPACE, page_size=page_size, page_token=token)
        answer = await bench.stub.ListSecretNames(request, metadata=bench.by(user))
        pages.append(list(answer.names))
        token = answer.next_page_token
    return pages


async def test_an_editor_is_told_the_names_that_a_template_may_have(bench: SecretsBench) -> None:
    await bench.create("salt", **KIND, exposable=True)
    await bench.create("pepper", **KIND, exposable=True, workspace_id=PARENT)
    await bench.create("closed", **KIND, exposable=True, grants=[pb.ConnectionGrant(level=USE, role=EDITOR)])
    await bench.create("hidden", **KIND)
    await bench.create("tickets")
    # Covered by a nearer connection that is no secret.
    await bench.create("tickets", **KIND, exposable=True, workspace_id=PARENT)
    assert await names(bench) == [["pepper", "salt"]]
    assert await names(bench, "editor", page_size=2) == [["closed", "pepper"], ["salt"]]
