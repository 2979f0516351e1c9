import { useState } from "react";
import { Button, Notice } from "../../../shared/ui";
import { usePersonName, useStanding } from "../../members";
import { type SessionHandle, useSessionPart, useSharedConnections } from "../../session";
import { type Choice, handOver, listed } from "../model/hand-over";

interface Props {
  handle: SessionHandle;
  workspaceId: string;
}

/** Whose code is in the kernel, what that leaves of the connections, and the choice: a new kernel, or this one. Tells which happened. */
export function HandOverNotice({ handle: { session }, workspaceId }: Props) {
  const [choice, setChoice] = useState<Choice>();
  const name = usePersonName(workspaceId);
  const { userId, refusal } = useStanding(workspaceId);
  const epoch = useSessionPart(session, (view) => view.stream.kernel.epoch) ?? 0n;
  const userIds = useSessionPart(session, (view) => view.stream.kernel.userIds) ?? NOBODY;
  const found = handOver(epoch, userIds, userId, choice);
  const others = "others" in found ? found.others : NOBODY;
  const choose = (kind: Choice["kind"]): void => {
    setChoice({ kind, epoch, others: others.join() });
    if (kind === "restarted") session?.restart();
  };
  if (found.kind === "alone" || refusal("run")) return null;
  if (found.kind === "restarted") {
    return (
      <Notice tone="ok" title="The kernel was restarted">
        <span>Nobody else’s code is in it, and its variables are gone. All of your connections can be used.</span>
      </Notice>
    );
  }
  const restart = (
    <Button
      small
      onClick={() => {
        choose("restarted");
      }}
    >
      Restart the kernel
    </Button>
  );
  const keep = (
    <Button
      small
      onClick={() => {
        choose("kept");
      }}
    >
      Keep it
    </Button>
  );
  const who = listed(others.map(name));
  return (
    <Notice
      tone={found.kind === "asked" ? "warn" : "plain"}
      title={found.kind === "asked" ? `Code of ${who} ran in this kernel` : `You kept the kernel with code of ${who}`}
      actions={
        <>
          {restart}
          {found.kind === "asked" && keep}
        </>
      }
    >
      <Left workspaceId={workspaceId} others={others} />
    </Notice>
  );
}

/** Which connections are left. */
function Left({ workspaceId, others }: { workspaceId: string; others: readonly string[] }) {
  const connections = useSharedConnections(workspaceId, others);
  const shut = connections.data?.filter((one) => one.refusedUserIds.length > 0) ?? [];
  const left = connections.data?.filter((one) => one.refusedUserIds.length === 0) ?? [];
  return (
    <span data-testid="hand-over">
      It may still be there, so connections are limited to those that all of you may use
      {connections.data ? `: ${listed(left.map((one) => one.name)) || "none"}.` : "."}
      {shut.length > 0 && ` Not until the kernel is restarted: ${listed(shut.map((one) => one.name))}.`} A restart loses
      the variables, for everyone.
    </span>
  );
}

const NOBODY: readonly string[] = [];
