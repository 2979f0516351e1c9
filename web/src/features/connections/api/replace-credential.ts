import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Connection, ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { useClient } from "../../../shared/api/context";

/** Replaces the whole credential. It goes in and is never read back. */
export function useReplaceCredential({ workspaceId, id: connectionId, etag }: Connection) {
  const client = useClient(ConnectionService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (credentialJson: string) =>
      client.updateConnection({ workspaceId, connectionId, etag, credentialJson }),
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "connections"] }),
    gcTime: 0,
  });
}
