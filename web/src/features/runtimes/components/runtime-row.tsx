import { useState } from "react";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import type { RuntimeTrust } from "../../../shared/trust/enrolment";
import { standing } from "../../../shared/trust/lasting";
import { Button, Dialog, Menu, type MenuItem, ProblemNotice, Status, type Tone } from "../../../shared/ui";
import { useNow } from "../../../shared/use-now";
import { useStanding } from "../../members";
import { useRuntimeTrust } from "../api/get-runtime-trust";
import type { Replacement } from "../api/replace-runtime";
import type { Revoked } from "../api/revoke-runtime";
import { useUpdateRuntime } from "../api/update-runtime";
import { ConfirmRuntime, Fingerprint } from "./confirm-runtime";
import { RemoveRuntime } from "./remove-runtime";
import { ReplaceRuntime } from "./replace-runtime";

interface Props {
  workspaceId: string;
  runtime: Runtime;
  onPair: (runtime: Runtime) => void;
  onRemoved: (revoked: Revoked) => void;
  onReplaced: (replacement: Replacement) => void;
}

type Open = "confirm" | "replace" | "remove" | undefined;

const INHERITED = "It is changed in the workspace that it comes from.";

export function RuntimeRow({ workspaceId, runtime, onPair, onRemoved, onReplaced }: Props) {
  const trust = useRuntimeTrust(workspaceId, runtime);
  const now = useNow();
  const update = useUpdateRuntime(workspaceId);
  const [open, setOpen] = useState<Open>();
  const { refusal } = useStanding(workspaceId);
  const whyNotManage = runtime.inherited ? INHERITED : refusal("runtime.manage");
  const close = (): void => {
    setOpen(undefined);
  };
  const status = trust.data?.status;
  const told = trust.data?.status === "confirmed" ? standing(trust.data.lasting, now) : undefined;
  const actions: MenuItem[] = [
    {
      label: "Make it the default",
      disabled: runtime.isDefault,
      whyNot: whyNotManage,
      act: () => {
        update.mutate({ runtimeId: runtime.id, etag: runtime.etag, isDefault: true });
      },
    },
    {
      label: "Replace…",
      whyNot: whyNotManage,
      act: () => {
        setOpen("replace");
      },
    },
    {
      label: "Remove…",
      whyNot: whyNotManage,
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
            {told.text && `. ${told.text} ${told.advice}`}
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
          whyNot={refusal("runtime.confirm")}
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
          whyNot={refusal("runtime.add")}
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
      {open === "replace" && <ReplaceRuntime {...{ workspaceId, runtime, onReplaced }} onClose={close} />}
      {open === "remove" && <RemoveRuntime {...{ workspaceId, runtime, onRemoved }} onClose={close} />}
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
