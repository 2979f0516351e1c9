import { type Transport, createClient } from "@connectrpc/connect";
import { type Session, SessionService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";

export async function findOpenSession(
  transport: Transport,
  workspaceId: string,
  notebookId: string,
  runtimeId: string,
): Promise<Session | undefined> {
  const client = createClient(SessionService, transport);
  const { sessions } = await client.listSessions({ workspaceId, notebookId, openOnly: true, pageSize: 50 });
  return sessions.find((session) => session.runtimeId === runtimeId);
}
