import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Connection, ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { useClient } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";
import type { Grant } from "../model/connection-form";
import { newIdempotencyKey } from "../../../shared/bytes";

export interface NewConnection {
  name: string;
  kind: string;
  configJson: string;
  /** Goes in and is never read back. */
  credentialJson: string;
  allowedHosts: string[];
  allowedOperations: string[];
  approvalOperations: string[];
  referencesJson: string;
  exposable: boolean;
  grants: Grant[];
  expiresAtMs: bigint;
  isDefault: boolean;
}

/** `onMade` belongs to the call: the list that it changes may draw the form anew. */
export function useCreateConnection(workspaceId: string, onMade: (connection: Connection) => void) {
  const client = useClient(ConnectionService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (order: NewConnection) => {
      const idempotencyKey = newIdempotencyKey();
      const { connection } = await client.createConnection({ workspaceId, idempotencyKey, ...order });
      if (!connection) throw new Trouble("SPIN answered without the connection.", "Load the list again.");
      return connection;
    },
    gcTime: 0,
    onSuccess: (connection) => {
      onMade(connection);
      return queries.invalidateQueries({ queryKey: [workspaceId, "connections"] });
    },
  });
}
