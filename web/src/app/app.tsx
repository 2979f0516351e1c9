import { QueryClient, QueryClientProvider, notifyManager } from "@tanstack/react-query";
import { StrictMode } from "react";
import { ApiProvider } from "../shared/api/context";
import { problemOf } from "../shared/api/problem";
import type { Api } from "../shared/api/transport";
import { ErrorReason } from "../gen/spinapis/errors/v1/reasons_pb";
import { Routes } from "./routes";

const PASSING = new Set([ErrorReason.UNAVAILABLE, ErrorReason.RATE_LIMITED]);

// A button must know that its call is under way before a second click of the same hand arrives; the default waits for a timer.
notifyManager.setScheduler(queueMicrotask);

function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // What a repetition may mend is repeated; a refusal is shown at once.
        retry: (failures, error) => failures < 3 && PASSING.has(problemOf(error).reason),
        staleTime: 10_000,
        refetchOnWindowFocus: true,
      },
    },
  });
}

export function App({ api, queries = newQueryClient() }: { api: Api; queries?: QueryClient }) {
  return (
    <StrictMode>
      <ApiProvider value={api}>
        <QueryClientProvider client={queries}>
          <Routes />
        </QueryClientProvider>
      </ApiProvider>
    </StrictMode>
  );
}
