import { type Transport, createClient } from "@connectrpc/connect";
import { type Session, SessionService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { Trouble } from "../../../shared/api/problem";

/** The notebook's open session on the runtime, or a new one. */
export async function openSession(
  transport: Transport,
  order: { workspaceId: string; notebookId: string; runtimeId: string; kernelName: string },
): Promise<Session> {
  const { session } = await createClient(SessionService, transport).openSession(order);
  if (!session) throw new Trouble("SPIN answered without a session.", "Try again.");
  return session;
}
