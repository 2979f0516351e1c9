/** Draws a component as the page does, with services that answer from memory. */
import type { Transport } from "@connectrpc/connect";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import type { ReactNode } from "react";
import { Router } from "wouter";
import { memoryLocation } from "wouter/memory-location";
import { ApiProvider } from "../shared/api/context";
import { TokenKeeper } from "../shared/api/tokens";
import { kept } from "../shared/kept";

export function memoryTokens(): TokenKeeper {
  return new TokenKeeper({
    kept,
    refresh: () => Promise.reject(new Error("no refresh in this test")),
    exclusively: (act) => act(),
    channel: { postMessage: () => undefined, addEventListener: () => undefined },
    now: Date.now,
  });
}

export function renderPage(page: ReactNode, transport: Transport, path = "/") {
  const location = memoryLocation({ path, record: true });
  const tokens = memoryTokens();
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const drawn = render(
    <ApiProvider value={{ transport, tokens }}>
      <QueryClientProvider client={queries}>
        <Router hook={location.hook}>{page}</Router>
      </QueryClientProvider>
    </ApiProvider>,
  );
  return { ...drawn, location, tokens };
}
