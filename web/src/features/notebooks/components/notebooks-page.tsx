import { useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import type { Notebook } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { formatAgo, formatTime } from "../../../shared/clock";
import { Button, Dialog, Empty, Loading, Menu, ProblemNotice } from "../../../shared/ui";
import { useStanding } from "../../members";
import { useCreateNotebook } from "../api/create-notebook";
import { useDeleteNotebook } from "../api/delete-notebook";
import { useExportNotebook } from "../api/export-notebook";
import { useImportNotebook } from "../api/import-notebook";
import { useNotebooks } from "../api/list-notebooks";

export function NotebooksPage({ workspaceId }: { workspaceId: string }) {
  const notebooks = useNotebooks(workspaceId);
  const exporting = useExportNotebook(workspaceId);
  const [doomed, setDoomed] = useState<Notebook>();
  if (notebooks.loading) return <Loading what="notebooks" />;
  const actions = <NewNotebook workspaceId={workspaceId} />;
  return (
    <div className="stack">
      <div className="page-head">
        <h1>Notebooks</h1>
        {notebooks.items.length > 0 && actions}
      </div>
      {notebooks.error && <ProblemNotice error={notebooks.error} onRetry={notebooks.again} />}
      {exporting.isError && <ProblemNotice error={exporting.error} />}
      {notebooks.items.length === 0 && !notebooks.error && (
        <Empty title="No notebooks yet" actions={actions}>
          Start an empty one, or bring one along from Jupyter.
        </Empty>
      )}
      {notebooks.items.length > 0 && (
        <ul className="list">
          {notebooks.items.map((notebook) => (
            <NotebookRow
              key={notebook.id}
              notebook={notebook}
              onExport={() => {
                exporting.mutate(notebook.id);
              }}
              onDelete={() => {
                setDoomed(notebook);
              }}
            />
          ))}
        </ul>
      )}
      {notebooks.more && (
        <Button busy={notebooks.loadingMore} onClick={notebooks.more}>
          Show more
        </Button>
      )}
      {doomed && (
        <DeleteNotebook
          notebook={doomed}
          onClose={() => {
            setDoomed(undefined);
          }}
        />
      )}
    </div>
  );
}

interface RowProps {
  notebook: Notebook;
  onExport: () => void;
  onDelete: () => void;
}

function NotebookRow({ notebook, onExport, onDelete }: RowProps) {
  const [now] = useState(Date.now);
  const whyNot = useStanding(notebook.workspaceId).refusal("notebook.edit");
  return (
    <li className="list__row">
      <div className="list__main">
        <Link className="list__title" href={`/w/${notebook.workspaceId}/notebooks/${notebook.id}`}>
          {notebook.title || "Untitled"}
        </Link>
        <span className="list__detail" title={formatTime(notebook.updatedAtMs)}>
          Changed {formatAgo(notebook.updatedAtMs, now)}, version {notebook.version}
        </span>
      </div>
      <Menu
        label={`Actions for ${notebook.title || "Untitled"}`}
        items={[
          { label: "Export as .ipynb", act: onExport },
          { label: "Delete…", whyNot, act: onDelete },
        ]}
      />
    </li>
  );
}

function NewNotebook({ workspaceId }: { workspaceId: string }) {
  const file = useRef<HTMLInputElement>(null);
  const [, navigate] = useLocation();
  const open = (notebook: Notebook | undefined): void => {
    if (notebook) navigate(`/w/${workspaceId}/notebooks/${notebook.id}`);
  };
  const create = useCreateNotebook(workspaceId, open);
  const importing = useImportNotebook(workspaceId, open);
  const whyNot = useStanding(workspaceId).refusal("notebook.edit");
  return (
    <div className="stack">
      <div className="row">
        <Button
          busy={importing.isPending}
          whyNot={whyNot}
          onClick={() => {
            file.current?.click();
          }}
        >
          Import .ipynb
        </Button>
        <Button
          look="primary"
          busy={create.isPending}
          whyNot={whyNot}
          onClick={() => {
            create.mutate("Untitled");
          }}
        >
          New notebook
        </Button>
      </div>
      <input
        ref={file}
        type="file"
        accept=".ipynb,application/json"
        hidden
        aria-label="Notebook file"
        onChange={(event) => {
          const chosen = event.target.files?.[0];
          if (chosen) importing.mutate(chosen);
          event.target.value = "";
        }}
      />
      {create.isError && <ProblemNotice error={create.error} />}
      {importing.isError && <ProblemNotice error={importing.error} />}
    </div>
  );
}

function DeleteNotebook({ notebook, onClose }: { notebook: Notebook; onClose: () => void }) {
  const remove = useDeleteNotebook(notebook.workspaceId);
  return (
    <Dialog title={`Delete “${notebook.title || "Untitled"}”?`} onClose={onClose}>
      <p>The notebook and its versions go. Its history in the audit log stays.</p>
      {remove.isError && <ProblemNotice error={remove.error} />}
      <div className="dialog__actions">
        <Button onClick={onClose}>Keep it</Button>
        <Button
          look="danger"
          busy={remove.isPending}
          onClick={() => {
            remove.mutate({ notebookId: notebook.id, etag: notebook.etag }, { onSuccess: onClose });
          }}
        >
          Delete
        </Button>
      </div>
    </Dialog>
  );
}
