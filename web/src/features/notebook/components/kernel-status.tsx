import { KernelPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { Status, type Tone } from "../../../shared/ui";
import { usePersonName } from "../../members";
import { type KernelView, type LinkPhase, type SessionHandle, useSessionPart } from "../../session";
import { listed } from "../model/hand-over";

interface Props {
  handle: SessionHandle;
  runtimeName: string;
  workspaceId: string;
}

/** Where the cells run, whether that is ready, and whose code is there. */
export function KernelStatus({ handle, runtimeName, workspaceId }: Props) {
  const link = useSessionPart(handle.session, (view) => view.link);
  const kernel = useSessionPart(handle.session, (view) => view.stream.kernel);
  const name = usePersonName(workspaceId);
  const whose = kernel && kernel.userIds.length > 0 ? `(code of ${listed(kernel.userIds.map(name))})` : "";
  const [tone, text] = handle.opening ? (["busy", "opening"] as const) : describe(link, kernel);
  return (
    <Status tone={tone}>
      {runtimeName}: <span data-testid="kernel-state">{text}</span>
      <span data-testid="kernel-people">{whose}</span>
    </Status>
  );
}

function describe(link: LinkPhase | undefined, kernel: KernelView | undefined): [Tone, string] {
  switch (link) {
    case undefined:
    case "stopped":
      return ["plain", "not connected"];
    case "connecting":
      return ["busy", "connecting"];
    case "waiting":
      return ["warn", "reconnecting"];
    case "held":
      return ["busy", "catching up"];
    case "attached":
      return ofKernel(kernel);
  }
}

function ofKernel(kernel: KernelView | undefined): [Tone, string] {
  const queued = kernel && kernel.queueLength > 0 ? `, ${kernel.queueLength} queued` : "";
  switch (kernel?.phase) {
    case KernelPhase.STARTING:
      return ["busy", "kernel starting"];
    case KernelPhase.IDLE:
      return ["ok", "idle"];
    case KernelPhase.BUSY:
      return ["busy", `busy${queued}`];
    case KernelPhase.DEAD:
      return ["bad", "kernel died"];
    case KernelPhase.STOPPED:
      return ["warn", "kernel stopped"];
    case KernelPhase.NONE:
    case KernelPhase.UNSPECIFIED:
    case undefined:
      return ["plain", "no kernel"];
  }
}
