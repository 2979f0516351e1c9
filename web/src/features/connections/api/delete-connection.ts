import { useMutation, useQueryClient } from "@tanstack/react-query";
import { ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { useClient } from "../../../shared/api/context";

export function useDeleteConnection(workspaceId: string) {
  const client = useClient(ConnectionService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (order: { connectionId: string; etag: string }) => client.deleteConnection({ workspaceId, ...order }),
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "connections"] }),
  });
}
