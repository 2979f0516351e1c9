import { randomBytes, toHex } from "../bytes";

/** W3C trace context: the first span of a trace that goes on through the gateway, the services and the runtime. */
export function newTraceparent(): string {
  return `00-${toHex(randomBytes(16))}-${toHex(randomBytes(8))}-01`;
}
