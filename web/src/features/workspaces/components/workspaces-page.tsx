import { useState } from "react";
import { Link, useLocation } from "wouter";
import { Button, Dialog, Empty, Loading, ProblemNotice, SelectField, TextField } from "../../../shared/ui";
import type { Workspace } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useCreateWorkspace } from "../api/create-workspace";
import { useWorkspaces } from "../api/list-workspaces";

export function WorkspacesPage() {
  const workspaces = useWorkspaces();
  const [adding, setAdding] = useState(false);
  const add = (
    <Button
      look="primary"
      onClick={() => {
        setAdding(true);
      }}
    >
      New workspace
    </Button>
  );
  if (workspaces.isPending) return <Loading what="workspaces" />;
  if (workspaces.isError) return <ProblemNotice error={workspaces.error} onRetry={() => void workspaces.refetch()} />;
  return (
    <div className="stack">
      <div className="page-head">
        <h1>Workspaces</h1>
        {workspaces.data.length > 0 && add}
      </div>
      {workspaces.data.length === 0 ? (
        <Empty title="You are not in a workspace yet" actions={add}>
          A workspace holds notebooks, runtimes and connections. Make one, or ask an owner to add you to theirs.
        </Empty>
      ) : (
        <ul className="list">
          {workspaces.data.map((workspace) => (
            <li key={workspace.id} className="list__row">
              <div className="list__main">
                <Link className="list__title" href={`/w/${workspace.id}/notebooks`}>
                  {workspace.name}
                </Link>
                {workspace.parentId && (
                  <span className="list__detail">in {nameOf(workspaces.data, workspace.parentId)}</span>
                )}
              </div>
            </li>
          ))}
        </ul>
      )}
      {adding && (
        <NewWorkspace
          workspaces={workspaces.data}
          onClose={() => {
            setAdding(false);
          }}
        />
      )}
    </div>
  );
}

function nameOf(workspaces: readonly Workspace[], id: string): string {
  return workspaces.find((workspace) => workspace.id === id)?.name ?? "another workspace";
}

function NewWorkspace({ workspaces, onClose }: { workspaces: readonly Workspace[]; onClose: () => void }) {
  const [name, setName] = useState("");
  const [parentId, setParentId] = useState("");
  const [, navigate] = useLocation();
  const create = useCreateWorkspace();
  const parents = workspaces.map((workspace) => ({ value: workspace.id, label: workspace.name }));
  return (
    <Dialog title="New workspace" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate(
            { name, parentId },
            {
              onSuccess: (workspace) => {
                onClose();
                if (workspace) navigate(`/w/${workspace.id}/notebooks`);
              },
            },
          );
        }}
      >
        <TextField label="Name" required autoFocus value={name} onChange={setName} />
        {parents.length > 0 && (
          <SelectField
            label="Inside"
            hint="A workspace inherits the connections and runtimes of the one that it is in."
            value={parentId}
            options={[{ value: "", label: "Nothing: it stands alone" }, ...parents]}
            onChange={setParentId}
          />
        )}
        {create.isError && <ProblemNotice error={create.error} />}
        <div className="dialog__actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={create.isPending}>
            Create
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
