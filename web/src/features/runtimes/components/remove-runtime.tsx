import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { Button, Dialog, ProblemNotice } from "../../../shared/ui";
import { useDeleteRuntime } from "../api/delete-runtime";
import type { Revoked } from "../api/revoke-runtime";

interface Props {
  workspaceId: string;
  runtime: Runtime;
  onRemoved: (revoked: Revoked) => void;
  onClose: () => void;
}

export function RemoveRuntime({ workspaceId, runtime, onRemoved, onClose }: Props) {
  const remove = useDeleteRuntime(workspaceId, onRemoved);
  return (
    <Dialog title={`Remove “${runtime.name}”?`} onClose={onClose}>
      <p>
        Nothing will run on it any more. It is told at once if this browser reaches it, and ends what runs there. Its
        history in the audit log stays. It cannot be undone: adding it again makes another runtime of it.
      </p>
      {remove.isError && <ProblemNotice error={remove.error} />}
      <div className="dialog__actions">
        <Button onClick={onClose}>Keep it</Button>
        <Button
          look="danger"
          busy={remove.isPending}
          onClick={() => {
            remove.mutate(runtime);
          }}
        >
          Remove
        </Button>
      </div>
    </Dialog>
  );
}
