import type { Transport } from "@connectrpc/connect";
import type { Runtime } from "../../gen/spinapis/workspace/v1/workspaces_pb";
import { sessionCalls } from "./api/session-calls";
import { dialWebSocket } from "./model/frame-socket";
import { LiveSession } from "./model/live-session";

interface Place {
  workspaceId: string;
  notebookId: string;
  sessionId: string;
  runtime: Runtime;
  /** Empty: the runtime's default. */
  kernelName: string;
}

/** A session that was opened, attached to its runtime from now on. Whoever begins it stops it. */
export function beginSession(transport: Transport, place: Place): LiveSession {
  const { workspaceId, notebookId, sessionId, runtime, kernelName } = place;
  const live = new LiveSession({
    identity: {
      workspaceId,
      notebookId,
      sessionId,
      runtimeId: runtime.id,
      runtimeUrl: runtime.url,
      runtimeWorkspaceId: runtime.workspaceId,
    },
    kernelName,
    calls: sessionCalls(transport),
    dial: dialWebSocket,
  });
  live.start();
  return live;
}
