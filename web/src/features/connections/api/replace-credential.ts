import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Connection, ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { useClient } from "../../../shared/api/context";

/** Replaces the whole credential, and when it expires. It goes in and is never read back. */
export function useReplaceCredential({ workspaceId, id: connectionId, etag }: Connection) {
  const client = useClient(ConnectionService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ credentialJson, expiresAtMs }: { credentialJson: string; expiresAtMs: bigint }) =>
      client.updateConnection({ workspaceId, connectionId, etag, credentialJson, expiresAtMs }),
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "connections"] }),
    gcTime: 0,
  });
}
