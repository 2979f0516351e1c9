/**
 * Tells a runtime that it was removed: it stops at once when this browser reaches it, else when its trust runs out. It needs no capability:
 * what it believes is auth's signature, whoever brings it.
 */
import { create } from "@bufbuild/protobuf";
import { generateSessionKeys, signingKey } from "../../../envelope";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { ClientHelloSchema, type TrustDocuments } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { Trouble } from "../../../shared/api/problem";
import { randomBytes } from "../../../shared/bytes";
import { type Dial, FrameSocket, socketUrl } from "../../session";

const ANSWER_MS = 5000;
const OPEN_MS = 10_000;

/** Whether it took the news. */
export async function tellRemoved(dial: Dial, url: string, trust: TrustDocuments): Promise<boolean> {
  // A key of its own: whoever answers there learns nothing about this browser's.
  const { publicKey } = await signingKey(await generateSessionKeys());
  let socket: FrameSocket | undefined;
  try {
    socket = new FrameSocket(dial, socketUrl(url));
    await Promise.race([socket.opened, late()]);
    const hello = create(ClientHelloSchema, { nonceB: randomBytes(32), sessionKey: publicKey, trust });
    socket.send({ case: "clientHello", value: hello });
    const { body } = await socket.next(ANSWER_MS);
    return body.case === "error" && body.value.reason === ErrorReason.RUNTIME_REVOKED;
  } catch (error) {
    // The browser itself forbids some addresses, such as http from a page over https.
    if (error instanceof Trouble || error instanceof DOMException) return false;
    throw error;
  } finally {
    socket?.close();
  }
}

async function late(): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, OPEN_MS));
  throw new Trouble("The runtime did not answer.");
}
