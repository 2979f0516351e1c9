import { useQuery } from "@tanstack/react-query";
import { CompilerService } from "../../../gen/spinapis/compiler/v1/compiler_pb";
import { useClient } from "../../../shared/api/context";
import { allPages } from "../../../shared/api/pages";

export function useCellTypes() {
  const client = useClient(CompilerService);
  return useQuery({
    queryKey: ["cell-types"],
    queryFn: () =>
      allPages(async (pageToken) => {
        const page = await client.listCellTypes({ pageToken, pageSize: 100 });
        return { items: page.cellTypes, nextPageToken: page.nextPageToken };
      }),
    staleTime: 10 * 60_000,
  });
}
