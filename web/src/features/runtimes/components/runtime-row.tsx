import { useState } from "react";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import type { RuntimeTrust } from "../../../shared/trust/enrolment";
import { standing } from "../../../shared/trust/lasting";
import { Button, Dialog, Menu, type MenuItem, ProblemNotice, Status, type Tone } from "../../../shared/ui";
import { useNow } from "../../../shared/use-now";
import { useDeleteRuntime } from "../api/delete-runtime";
import { useRuntimeTrust } from "../api/get-runtime-trust";
import { useUpdateRuntime } from "../api/update-runtime";
import { ConfirmRuntime, Fingerprint } from "./confirm-runtime";
import { ReplaceRuntime } from "./replace-runtime";

interface Props {
  workspaceId: string;
  runtime: Runtime;
  onPair: (runtime: Runtime) => void;
}

type Open = "confirm" | "replace" | "remove" | undefined;

export function RuntimeRow({ workspaceId, runtime, onPair }: Props) {
  const trust = useRuntimeTrust(workspaceId, runtime);
  const now = useNow();
  const update = useUpdateRuntime(workspaceId);
  const [open, setOpen] = useState<Open>();
  const close = (): void => {
    setOpen(undefined);
  };
  const status = trust.data?.status;
  const told = trust.data?.status === "confirmed" ? standing(trust.data.lasting, now) : undefined;
  const actions: MenuItem[] = [
    {
      label: "Make it the default",
      disabled: runtime.isDefault || runtime.inherited,
      act: () => {
        update.mutate({ runtimeId: runtime.id, etag: runtime.etag, isDefault: true });
      },
    },
    {
      label: "Replace…",
      disabled: runtime.inherited,
      act: () => {
        setOpen("replace");
      },
    },
    {
      label: "Remove…",
      disabled: runtime.inherited,
      act: () => {
        setOpen("remove");
      },
    },
  ];
  return (
    <li className="list__row">
      <div className="list__main">
        <span className="row">
          <span className="list__title">{runtime.name}</span>
          {runtime.isDefault && <span className="tag">default</span>}
          {runtime.inherited && <span className="tag">inherited</span>}
          {Object.entries(runtime.labels).map(([key, value]) => (
            <span key={key} className="tag">
              {key}: {value}
            </span>
          ))}
        </span>
        <span className="list__detail">{runtime.url}</span>
        {trust.data && "enrolled" in trust.data && <Fingerprint text={trust.data.enrolled.fingerprint} />}
        {told && (
          <span className="list__detail">
            {told.title}
            {told.text && `. ${told.text}`}
          </span>
        )}
        {trust.isError && <ProblemNotice error={trust.error} onRetry={() => void trust.refetch()} />}
        {update.isError && <ProblemNotice error={update.error} />}
      </div>
      {told && (told.phase === "grace" || told.phase === "expired") ? (
        <Status tone={told.tone}>{told.phase === "grace" ? "In its grace" : "Trust expired"}</Status>
      ) : (
        status && <RuntimeStatus status={status} />
      )}
      {status === "paired" && (
        <Button
          small
          onClick={() => {
            setOpen("confirm");
          }}
        >
          Compare and confirm
        </Button>
      )}
      {status === "unpaired" && !runtime.inherited && (
        <Button
          small
          onClick={() => {
            onPair(runtime);
          }}
        >
          Start it
        </Button>
      )}
      <Menu label={`Actions for ${runtime.name}`} items={actions} />
      {open === "confirm" && (
        <Dialog title={`Confirm “${runtime.name}”`} onClose={close}>
          <ConfirmRuntime runtime={runtime} onDone={close} />
        </Dialog>
      )}
      {open === "replace" && (
        <ReplaceRuntime
          workspaceId={workspaceId}
          runtime={runtime}
          onClose={close}
          onReplaced={(successor) => {
            close();
            onPair(successor);
          }}
        />
      )}
      {open === "remove" && <RemoveRuntime workspaceId={workspaceId} runtime={runtime} onClose={close} />}
    </li>
  );
}

const STATUS: Record<RuntimeTrust["status"], [Tone, string]> = {
  confirmed: ["ok", "Confirmed"],
  paired: ["warn", "To be confirmed"],
  unpaired: ["plain", "Not started yet"],
  revoked: ["bad", "Removed"],
};

function RuntimeStatus({ status }: { status: RuntimeTrust["status"] }) {
  const [tone, text] = STATUS[status];
  return <Status tone={tone}>{text}</Status>;
}

function RemoveRuntime({
  workspaceId,
  runtime,
  onClose,
}: {
  workspaceId: string;
  runtime: Runtime;
  onClose: () => void;
}) {
  const remove = useDeleteRuntime(workspaceId);
  return (
    <Dialog title={`Remove “${runtime.name}”?`} onClose={onClose}>
      <p>
        It gets nothing more to run. What runs there now goes on until its trust ends: stop its process too. Its history
        in the audit log stays.
      </p>
      {remove.isError && <ProblemNotice error={remove.error} />}
      <div className="dialog__actions">
        <Button onClick={onClose}>Keep it</Button>
        <Button
          look="danger"
          busy={remove.isPending}
          onClick={() => {
            remove.mutate({ runtimeId: runtime.id, etag: runtime.etag }, { onSuccess: onClose });
          }}
        >
          Remove
        </Button>
      </div>
    </Dialog>
  );
}
