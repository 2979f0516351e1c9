import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Connection, ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import type { Grant } from "../model/connection-form";
import { useClient } from "../../../shared/api/context";

export interface ConnectionChange {
  name: string;
  configJson: string;
  allowedHosts: string[];
  allowedOperations: string[];
  approvalOperations: string[];
  /** Absent when they stay as they are. */
  grants: Grant[] | undefined;
  /** Absent when it stays; otherwise all of it. It goes in and is never read back. */
  credentialJson: string | undefined;
  /** Absent when they stay as they are. */
  referencesJson: string | undefined;
  exposable: boolean;
  expiresAtMs: bigint;
  isDefault: boolean;
}

/** The etag is of what the form began with: what others changed meanwhile is not overwritten unseen. */
export function useUpdateConnection({ workspaceId, id: connectionId, etag }: Connection) {
  const client = useClient(ConnectionService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ grants, credentialJson, referencesJson, ...change }: ConnectionChange) =>
      client.updateConnection({
        ...{ workspaceId, connectionId, etag, replaceAllowed: true, replaceApproval: true },
        ...(grants === undefined ? {} : { grants, replaceGrants: true }),
        ...(credentialJson === undefined ? {} : { credentialJson }),
        ...(referencesJson === undefined ? {} : { referencesJson }),
        ...change,
      }),
    gcTime: 0,
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "connections"] }),
  });
}
