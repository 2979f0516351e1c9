export type { LinkPhase } from "./model/link";
export type { SessionView } from "./model/session-view";
export { LiveSession } from "./model/live-session";
export { type Dial, FrameSocket, dialWebSocket, socketUrl } from "./model/frame-socket";
export type { CellView, KernelView, RunView, SessionState } from "./model/stream";
export { runKey } from "./model/stream";
export type { RunOutcome, Submission } from "./model/submissions";
export { useSharedConnections } from "./api/list-shared-connections";
export { type SessionHandle, useLiveSession, useSessionPart } from "./use-session";
