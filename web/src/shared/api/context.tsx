/** The transport comes from context, so that a test can pass one that answers from memory. */
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createContext, use, useMemo, useSyncExternalStore } from "react";
import type { Api } from "./transport";

const ApiContext = createContext<Api | undefined>(undefined);

export const ApiProvider = ApiContext.Provider;

export function useApi(): Api {
  const api = use(ApiContext);
  if (!api) throw new Error("no ApiProvider above this component");
  return api;
}

export function useClient<S extends DescService>(service: S): Client<S> {
  const { transport } = useApi();
  return useMemo(() => createClient(service, transport), [service, transport]);
}

export function useSignedIn(): boolean {
  const { tokens } = useApi();
  return useSyncExternalStore(tokens.subscribe, () => tokens.signedIn);
}
