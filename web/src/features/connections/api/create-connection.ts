import { useMutation, useQueryClient } from "@tanstack/react-query";
import { ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { useClient } from "../../../shared/api/context";
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

export function useCreateConnection(workspaceId: string) {
  const client = useClient(ConnectionService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (order: NewConnection) =>
      client.createConnection({ workspaceId, idempotencyKey: newIdempotencyKey(), ...order }),
    gcTime: 0,
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "connections"] }),
  });
}
