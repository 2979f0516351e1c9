import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { formatTime } from "../../../shared/clock";
import { Button, Dialog, Notice, ProblemNotice } from "../../../shared/ui";
import { type Removed, useDeleteRuntime } from "../api/delete-runtime";

interface Props {
  workspaceId: string;
  runtime: Runtime;
  onRemoved: (removed: Removed) => void;
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

interface NoticeProps {
  removed: Removed;
  now: number;
  onDismiss: () => void;
}

/** Whether the removed runtime has stopped, and until when it may go on if nobody knows. */
export function RemovedNotice({ removed: { runtime, how, runsUntilMs }, now, onDismiss }: NoticeProps) {
  const goesOn = how === "unreached" && runsUntilMs > now;
  return (
    <Notice
      tone={goesOn ? "warn" : "ok"}
      title={`“${runtime.name}” was removed`}
      actions={
        <Button small look="quiet" onClick={onDismiss}>
          Dismiss
        </Button>
      }
    >
      {how === "told" && <span>It was told, and stopped.</span>}
      {how === "unreached" && !goesOn && (
        <span>It was not reached, and its trust had run out: nothing runs on it.</span>
      )}
      {goesOn && (
        <span>
          It could not be told at {runtime.url}. It may go on until its trust ends, {formatTime(runsUntilMs)}. Stop its
          process to end it now.
        </span>
      )}
    </Notice>
  );
}
