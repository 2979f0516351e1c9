import { useQuery } from "@tanstack/react-query";
import { HistoryService } from "../../../gen/spinapis/audit/v1/audit_pb";
import { useClient } from "../../../shared/api/context";

export function useAlarms(workspaceId: string) {
  const client = useClient(HistoryService);
  return useQuery({
    queryKey: [workspaceId, "alarms"],
    queryFn: async () => (await client.listAlarms({ workspaceId, openOnly: true, pageSize: 50 })).alarms,
  });
}
