/** What a live session knows after some frames, without a runtime. */
import { create } from "@bufbuild/protobuf";
import { NEW_SESSION, applyFrame, withKernel } from "../features/session/model/stream";
import type { SessionView } from "../features/session/model/session-view";
import { KernelPhase, KernelStateSchema, type RuntimeFrame } from "../gen/spinapis/runtime/v1/frames_pb";

interface Known {
  view?: Partial<SessionView>;
  /** Whose code is in the kernel. */
  userIds?: string[];
  frames?: RuntimeFrame[];
}

/** Attached, with a kernel that is idle. */
export function sessionView({ view = {}, userIds = [], frames = [] }: Known = {}): SessionView {
  const kernel = create(KernelStateSchema, { phase: KernelPhase.IDLE, kernelEpoch: 1n, language: "python", userIds });
  return {
    link: "attached",
    problem: undefined,
    caughtUp: true,
    kernels: [],
    warnings: [],
    trust: undefined,
    submissions: {},
    stream: frames.reduce(applyFrame, withKernel(NEW_SESSION, kernel)),
    ...view,
  };
}
