import { Link, useLocation } from "wouter";
import { Button, Menu, type MenuItem } from "../../../shared/ui";
import { useExportNotebook } from "../../notebooks";
import type { Actions } from "../model/keys";
import { KernelStatus } from "./kernel-status";
import type { EditorProps } from "./notebook-editor";
import { SaveStatus } from "./save-status";

export function Toolbar({ actions, ...props }: EditorProps & { actions: Actions }) {
  const { notebook, store, view, handle, runtimes, runtime } = props;
  const [, navigate] = useLocation();
  const exporting = useExportNotebook(notebook.workspaceId);
  const more: MenuItem[] = [
    {
      label: "Versions",
      act: () =>
        void store.flush().then(() => {
          navigate(`/w/${notebook.workspaceId}/notebooks/${notebook.id}/versions`);
        }),
    },
    {
      label: "Clear all outputs",
      act: () => {
        store.edit({ kind: "clear", cellId: undefined });
      },
    },
    {
      label: "Export as .ipynb",
      act: () =>
        void store.flush().then(() => {
          exporting.mutate(notebook.id);
        }),
    },
    {
      label: "Stop the kernel",
      disabled: !handle.session,
      act: () => {
        handle.session?.kernel.stop();
      },
    },
    { label: "Keys", keys: "H", act: actions.showHelp },
  ];
  const places: MenuItem[] = runtimes.map((candidate) => ({
    label: `${candidate.id === runtime?.id ? "✓ " : ""}${candidate.name}`,
    act: () => {
      props.onChooseRuntime(candidate.id);
    },
  }));
  return (
    <div className="toolbar" role="toolbar" aria-label="Notebook">
      <input
        className="toolbar__title"
        aria-label="Title"
        value={view.document.title}
        placeholder="Untitled"
        onChange={(event) => {
          store.edit({ kind: "title", title: event.target.value });
        }}
      />
      <SaveStatus save={view.save} onSave={actions.save} />
      <span className="cell__space" />
      <Button small look="primary" whyNot={props.editor.whyNotRun} onClick={actions.runAll}>
        Run all
      </Button>
      <Button small disabled={!handle.session} title="Interrupt the kernel (I, I)" onClick={actions.interrupt}>
        Interrupt
      </Button>
      <Button small disabled={!handle.session} title="Restart the kernel (0, 0)" onClick={actions.restart}>
        Restart
      </Button>
      {runtime ? (
        <Menu small label="Runtime" items={places}>
          <KernelStatus handle={handle} runtimeName={runtime.name} workspaceId={notebook.workspaceId} />
        </Menu>
      ) : (
        <Link href={`/w/${notebook.workspaceId}/runtimes`}>Add a runtime to run cells</Link>
      )}
      <Menu small label="More for the notebook" items={more} />
    </div>
  );
}
