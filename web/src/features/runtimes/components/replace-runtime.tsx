import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { Button, Dialog, ProblemNotice } from "../../../shared/ui";
import { type Replacement, useReplaceRuntime } from "../api/replace-runtime";

interface Props {
  workspaceId: string;
  runtime: Runtime;
  onClose: () => void;
  onReplaced: (replacement: Replacement) => void;
}

/** For a runtime that lost its data, or whose token got away. */
export function ReplaceRuntime({ workspaceId, runtime, onClose, onReplaced }: Props) {
  const replace = useReplaceRuntime(workspaceId, onReplaced);
  return (
    <Dialog title={`Replace “${runtime.name}”?`} onClose={onClose}>
      <p>
        It gets a new token and a new identity; name, address, labels and its place as the default stay. Sessions that
        are open there end. The one of now is told at once if this browser reaches it, and ends what runs there.
      </p>
      <p>
        If its data is still there, put <code>var/broker</code> in its SPIN_HOME (or its volume) aside before you start
        it again: that belongs to the old identity.
      </p>
      {replace.isError && <ProblemNotice error={replace.error} />}
      <div className="dialog__actions">
        <Button onClick={onClose}>Keep it</Button>
        <Button
          look="danger"
          busy={replace.isPending}
          onClick={() => {
            replace.mutate(runtime);
          }}
        >
          Replace
        </Button>
      </div>
    </Dialog>
  );
}
