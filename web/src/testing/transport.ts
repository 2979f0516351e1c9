/** Services that answer from memory. */
import { type ConnectRouter, type Transport, createRouterTransport } from "@connectrpc/connect";

export function memoryTransport(routes: (router: ConnectRouter) => void): Transport {
  return createRouterTransport(routes);
}
