import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import {
  type WatchWorkspaceResponse,
  WatchWorkspaceResponse_Change as Change,
  WorkspaceService,
} from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useClient } from "../../../shared/api/context";

const LISTS: Record<string, string> = {
  workspace: "workspaces",
  notebook: "notebooks",
  runtime: "runtimes",
  session: "sessions",
};

/** Reads again what others changed. A stream that ends is opened again, and everything is read anew then. */
export function useWatchWorkspace(workspaceId: string): void {
  const client = useClient(WorkspaceService);
  const queries = useQueryClient();
  useEffect(() => {
    const stop = new AbortController();
    const heard = (event: WatchWorkspaceResponse): void => {
      const list = LISTS[event.resource];
      if (event.change === Change.STARTED) void queries.invalidateQueries({ queryKey: [workspaceId] });
      else if (list === "workspaces") void queries.invalidateQueries({ queryKey: [list] });
      else if (list) void queries.invalidateQueries({ queryKey: [workspaceId, list] });
      // A notebook that is open here is read again; its editor decides what becomes of it.
      if (event.resource === "notebook")
        void queries.invalidateQueries({ queryKey: [workspaceId, "notebook", event.id] });
    };
    void watch(() => client.watchWorkspace({ workspaceId }, { signal: stop.signal, timeoutMs: 0 }), heard, stop.signal);
    return () => {
      stop.abort();
    };
  }, [client, queries, workspaceId]);
}

async function watch(
  open: () => AsyncIterable<WatchWorkspaceResponse>,
  heard: (event: WatchWorkspaceResponse) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let pause = 1000; !signal.aborted; pause = Math.min(pause * 2, 60_000)) {
    try {
      for await (const event of open()) {
        heard(event);
        pause = 1000;
      }
    } catch {
      // The lists still load when the person comes back to them; the stream is tried again below.
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
