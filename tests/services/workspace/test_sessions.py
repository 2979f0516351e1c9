"""Runtimes' registrations, and sessions on them."""

import asyncio

import pytest

from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.installation import refused


async def runtime(place, workspace_id: str, name: str = "home", **fields) -> workspaces_pb2.Runtime:
    request = workspaces_pb2.CreateRuntimeRequest(workspace_id=workspace_id, name=name, **{"url": "http://localhost:8888", **fields})
    return (await place.runtimes.CreateRuntime(request, metadata=place.user())).runtime


async def notebook(place, workspace_id: str, **fields) -> notebooks_pb2.Notebook:
    request = notebooks_pb2.CreateNotebookRequest(workspace_id=workspace_id, **fields)
    return (await place.notebooks.CreateNotebook(request, metadata=place.user())).notebook


async def open_session(place, workspace_id: str, notebook_id: str, **fields) -> notebooks_pb2.Session:
    request = notebooks_pb2.OpenSessionRequest(workspace_id=workspace_id, notebook_id=notebook_id, **fields)
    return (await place.sessions.OpenSession(request, metadata=place.user())).session


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8888", "ftp://host", "http://", "http://host/path", "http://user@host", "http://host?x", "http://h ost", "http://host:99999"],
)
async def test_a_runtimes_url_is_an_origin(place, url: str) -> None:
    made = await place.workspace()
    with refused() as refusal:
        await runtime(place, made.id, url=url)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_the_first_runtime_is_the_default_and_there_is_one(place) -> None:
    made = await place.workspace()
    first, second = await runtime(place, made.id, "a"), await runtime(place, made.id, "b", url="https://B.example.com:8888/")
    assert (first.is_default, second.is_default, second.url) == (True, False, "https://b.example.com:8888")
    request = workspaces_pb2.UpdateRuntimeRequest(workspace_id=made.id, runtime_id=second.id, etag=second.etag, is_default=True)
    await place.runtimes.UpdateRuntime(request, metadata=place.user())
    listed = await place.runtimes.ListRuntimes(workspaces_pb2.ListRuntimesRequest(workspace_id=made.id), metadata=place.user())
    assert [(found.name, found.is_default) for found in listed.runtimes] == [("a", False), ("b", True)]


async def test_names_are_single_and_labels_are_replaced_on_demand(place) -> None:
    made = await place.workspace()
    first = await runtime(place, made.id, "a", labels={"zone": "eu"})
    with refused() as refusal:
        await runtime(place, made.id, "a")
    assert refusal.reason == "ALREADY_EXISTS"
    rename = workspaces_pb2.UpdateRuntimeRequest(workspace_id=made.id, runtime_id=first.id, etag=first.etag, name="z")
    renamed = (await place.runtimes.UpdateRuntime(rename, metadata=place.user())).runtime
    assert dict(renamed.labels) == {"zone": "eu"}
    clear = workspaces_pb2.UpdateRuntimeRequest(workspace_id=made.id, runtime_id=first.id, etag=renamed.etag, replace_labels=True)
    assert not (await place.runtimes.UpdateRuntime(clear, metadata=place.user())).runtime.labels


async def test_children_inherit_runtimes_and_cannot_change_them(place) -> None:
    parent = await place.workspace("Parent")
    child = await place.workspace("Child", parent.id)
    shared, own = await runtime(place, parent.id, "shared"), await runtime(place, child.id, "own")
    pages = []
    token = ""
    for _ in range(2):
        request = workspaces_pb2.ListRuntimesRequest(workspace_id=child.id, page_size=1, page_token=token)
        answer = await place.runtimes.ListRuntimes(request, metadata=place.user())
        pages.append([(found.id, found.inherited) for found in answer.runtimes])
        token = answer.next_page_token
    assert (pages, token) == ([[(own.id, False)], [(shared.id, True)]], "")
    with refused() as refusal:
        request = workspaces_pb2.DeleteRuntimeRequest(workspace_id=child.id, runtime_id=shared.id, etag=shared.etag)
        await place.runtimes.DeleteRuntime(request, metadata=place.user())
    assert refusal.reason == "NOT_FOUND"


async def test_a_deleted_runtime_loses_its_trust_and_its_sessions(place) -> None:
    made = await place.workspace()
    there, book = await runtime(place, made.id), await notebook(place, made.id)
    opened = await open_session(place, made.id, book.id)
    request = workspaces_pb2.DeleteRuntimeRequest(workspace_id=made.id, runtime_id=there.id, etag=there.etag)
    await place.runtimes.DeleteRuntime(request, metadata=place.user())
    assert place.enrolments.revoked == [there.id]
    found = await place.sessions.GetSession(notebooks_pb2.GetSessionRequest(workspace_id=made.id, session_id=opened.id), metadata=place.user())
    assert found.session.ended_at_ms


async def test_opening_twice_finds_the_same_session(place) -> None:
    made = await place.workspace()
    there, book = await runtime(place, made.id), await notebook(place, made.id, metadata_json='{"kernelspec": {"name": "ir"}}')
    sessions = await asyncio.gather(*(open_session(place, made.id, book.id) for _ in range(5)))
    assert len({session.id for session in sessions}) == 1
    assert (sessions[0].runtime_id, sessions[0].kernel_name, sessions[0].opened_by) == (there.id, "ir", "ann")
    assert place.log.types(made.id).count("session.opened") == 1


async def test_an_ended_session_stays_in_the_list_and_a_new_one_opens(place) -> None:
    made = await place.workspace()
    await runtime(place, made.id)
    book = await notebook(place, made.id)
    first = await open_session(place, made.id, book.id)
    end = notebooks_pb2.EndSessionRequest(workspace_id=made.id, session_id=first.id)
    ended = (await place.sessions.EndSession(end, metadata=place.user())).session
    assert (await place.sessions.EndSession(end, metadata=place.user())).session == ended
    second = await open_session(place, made.id, book.id)
    everything = notebooks_pb2.ListSessionsRequest(workspace_id=made.id, notebook_id=book.id)
    assert {found.id for found in (await place.sessions.ListSessions(everything, metadata=place.user())).sessions} == {first.id, second.id}
    everything.open_only = True
    assert [found.id for found in (await place.sessions.ListSessions(everything, metadata=place.user())).sessions] == [second.id]


async def test_no_default_runtime_is_said_so(place) -> None:
    made = await place.workspace()
    book = await notebook(place, made.id)
    with refused() as refusal:
        await open_session(place, made.id, book.id)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_a_viewer_opens_no_session_and_an_agent_does(place) -> None:
    made = await place.workspace()
    await runtime(place, made.id)
    book = await notebook(place, made.id)
    request = notebooks_pb2.OpenSessionRequest(workspace_id=made.id, notebook_id=book.id)
    place.let("vic", made.id, 4)
    place.let("robot", made.id, 3)
    with refused() as refusal:
        await place.sessions.OpenSession(request, metadata=place.user("vic"))
    assert refusal.reason == "PERMISSION_DENIED"
    assert (await place.sessions.OpenSession(request, metadata=place.user("robot"))).session.opened_by == "robot"


async def test_watchers_hear_what_changes_after_the_start(place) -> None:
    made = await place.workspace()
    call = place.workspaces.WatchWorkspace(workspaces_pb2.WatchWorkspaceRequest(workspace_id=made.id), metadata=place.user())
    started = await call.read()
    book = await notebook(place, made.id)
    there = await runtime(place, made.id)
    events = [await call.read() for _ in range(2)]
    call.cancel()
    assert started.change == workspaces_pb2.WatchWorkspaceResponse.CHANGE_STARTED
    assert [(event.resource, event.id, event.user_id) for event in events] == [("notebook", book.id, "ann"), ("runtime", there.id, "ann")]
