"""Workspaces: founding, nesting, renaming, deleting."""

from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.installation import refused


async def test_a_new_workspace_is_its_makers_and_stands_in_the_log(place) -> None:
    made = await place.workspace("Incidents")
    listed = await place.workspaces.ListWorkspaces(workspaces_pb2.ListWorkspacesRequest(), metadata=place.user())
    assert [found.id for found in listed.workspaces] == [made.id]
    assert place.log.types(made.id) == ["workspace.created"]


async def test_repeating_a_create_makes_one_workspace(place) -> None:
    request = workspaces_pb2.CreateWorkspaceRequest(name="Once", idempotency_key="k1")
    first = await place.workspaces.CreateWorkspace(request, metadata=place.user())
    second = await place.workspaces.CreateWorkspace(request, metadata=place.user())
    other = await place.workspaces.CreateWorkspace(request, metadata=place.user("bob"))
    assert first == second
    assert other.workspace.id != first.workspace.id


async def test_nothing_is_made_when_the_log_does_not_answer(place) -> None:
    place.log.broken = True
    with refused() as refusal:
        await place.workspaces.CreateWorkspace(workspaces_pb2.CreateWorkspaceRequest(name="Unlogged", idempotency_key="k"), metadata=place.user())
    assert refusal.reason == "UNAVAILABLE"
    listed = await place.workspaces.ListWorkspaces(workspaces_pb2.ListWorkspacesRequest(), metadata=place.user())
    assert not listed.workspaces


async def test_a_child_needs_the_parents_manager(place) -> None:
    parent = await place.workspace("Parent")
    child = await place.workspace("Child", parent.id)
    assert child.parent_id == parent.id
    for user in ("eve", "carl"):
        if user == "carl":
            place.let("carl", parent.id, 2)
        with refused() as refusal:
            await place.workspace("Theirs", parent.id, user=user)
        assert refusal.reason in ("NOT_FOUND", "PERMISSION_DENIED")


async def test_a_parents_member_is_not_a_childs(place) -> None:
    parent = await place.workspace("Parent")
    child = await place.workspace("Child", parent.id)
    place.let("bob", parent.id, 1)
    with refused() as refusal:
        await place.workspaces.GetWorkspace(workspaces_pb2.GetWorkspaceRequest(workspace_id=child.id), metadata=place.user("bob"))
    assert refusal.reason == "NOT_FOUND"


async def test_the_line_of_ancestors_is_for_services(place) -> None:
    top = await place.workspace("Top")
    middle = await place.workspace("Middle", top.id)
    low = await place.workspace("Low", middle.id)
    request = workspaces_pb2.ListAncestorsRequest(workspace_id=low.id)
    answer = await place.workspaces.ListAncestors(request, metadata=place.installation.as_service("secrets", "workspace", "ann"))
    assert list(answer.workspace_ids) == [low.id, middle.id, top.id]
    with refused() as refusal:
        await place.workspaces.ListAncestors(request, metadata=place.user())
    assert refusal.reason == "SERVICE_ONLY"


async def test_nesting_has_a_bottom(place) -> None:
    parent = ""
    for depth in range(8):
        parent = (await place.workspace(f"Level {depth}", parent)).id
    with refused() as refusal:
        await place.workspace("Too deep", parent)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_a_rename_needs_what_was_read_last(place) -> None:
    made = await place.workspace("Before")
    request = workspaces_pb2.UpdateWorkspaceRequest(workspace_id=made.id, name="After", etag=made.etag)
    changed = (await place.workspaces.UpdateWorkspace(request, metadata=place.user())).workspace
    assert (changed.name, changed.etag != made.etag) == ("After", True)
    with refused() as refusal:
        await place.workspaces.UpdateWorkspace(request, metadata=place.user())
    assert refusal.reason == "ETAG_MISMATCH"


async def test_only_an_empty_workspace_goes(place) -> None:
    made = await place.workspace("Parent")
    child = await place.workspace("Child", made.id)
    with refused() as refusal:
        await place.workspaces.DeleteWorkspace(workspaces_pb2.DeleteWorkspaceRequest(workspace_id=made.id, etag=made.etag), metadata=place.user())
    assert refusal.reason == "INVALID_ARGUMENT"
    notebook = await place.notebooks.CreateNotebook(notebooks_pb2.CreateNotebookRequest(workspace_id=child.id), metadata=place.user())
    deletion = workspaces_pb2.DeleteWorkspaceRequest(workspace_id=child.id, etag=child.etag)
    with refused() as refusal:
        await place.workspaces.DeleteWorkspace(deletion, metadata=place.user())
    assert refusal.reason == "INVALID_ARGUMENT"
    gone = notebooks_pb2.DeleteNotebookRequest(workspace_id=child.id, notebook_id=notebook.notebook.id, etag=notebook.notebook.etag)
    await place.notebooks.DeleteNotebook(gone, metadata=place.user())
    place.log.broken = True
    with refused() as refusal:
        await place.workspaces.DeleteWorkspace(deletion, metadata=place.user())
    assert refusal.reason == "UNAVAILABLE" and place.keys.erased == []
    place.log.broken = False
    await place.workspaces.DeleteWorkspace(deletion, metadata=place.user())
    assert place.keys.erased == [child.id]
    assert place.log.types(child.id) == ["workspace.created", "notebook.created", "notebook.deleted", "workspace.deleted"]
