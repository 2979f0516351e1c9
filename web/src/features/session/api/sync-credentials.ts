import { type Transport, createClient } from "@connectrpc/connect";
import { ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import type { Attachment } from "../model/attach";
import type { CredentialBundle, SessionIdentity } from "../model/calls";

/** The workspace's credentials, sealed to the runtime. */
export async function syncCredentials(
  transport: Transport,
  { workspaceId, runtimeId }: SessionIdentity,
  { hello, challenge }: Attachment,
): Promise<CredentialBundle> {
  const client = createClient(ConnectionService, transport);
  const { connections } = await client.listConnections({ workspaceId, pageSize: 1 });
  if (connections.length === 0) return { sealed: undefined, bundleVersion: 0n };
  const { sealed, bundleVersion } = await client.syncCredentials({
    workspaceId,
    runtimeId,
    hello: hello.data,
    challenge,
  });
  return { sealed: sealed.length > 0 ? sealed : undefined, bundleVersion };
}
