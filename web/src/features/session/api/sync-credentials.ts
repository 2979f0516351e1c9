import { type Transport, createClient } from "@connectrpc/connect";
import { ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import type { Attachment } from "../model/attach";
import type { SessionIdentity } from "../model/calls";

/** The workspace's credentials, sealed to the runtime; undefined when there are none or the runtime has the newest. */
export async function syncCredentials(
  transport: Transport,
  { workspaceId, runtimeId }: SessionIdentity,
  { hello, challenge }: Attachment,
): Promise<Uint8Array | undefined> {
  const client = createClient(ConnectionService, transport);
  const { connections } = await client.listConnections({ workspaceId, pageSize: 1 });
  if (connections.length === 0) return undefined;
  const { sealed } = await client.syncCredentials({ workspaceId, runtimeId, hello: hello.data, challenge });
  return sealed.length > 0 ? sealed : undefined;
}
