/** One WebSocket of the protocol: frames instead of bytes, a promise for each frame of the handshake, a listener afterwards. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ClientFrame,
  type RuntimeFrame,
  ClientFrameSchema,
  RuntimeFrameSchema,
} from "../../../gen/spinapis/runtime/v1/frames_pb";
import { Trouble } from "../../../shared/api/problem";

export const SUBPROTOCOL = "spin.v1";

/** What is used of a WebSocket; tests pass a runtime that answers from memory. */
export interface SocketLike {
  binaryType: string;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: Event) => unknown) | null;
  onmessage: ((event: MessageEvent) => unknown) | null;
  onclose: ((event: CloseEvent) => unknown) | null;
}

export type Dial = (url: string) => SocketLike;

export const dialWebSocket: Dial = (url) => new WebSocket(url, SUBPROTOCOL);

export type ClientBody = Exclude<ClientFrame["body"], { case: undefined }>;

/** "https://host:8888" -> "wss://host:8888/spin/v1/ws". */
export function socketUrl(runtimeUrl: string): string {
  const url = new URL("/spin/v1/ws", runtimeUrl);
  url.protocol = url.protocol === "https:" || url.protocol === "wss:" ? "wss:" : "ws:";
  return url.href;
}

export class FrameSocket {
  readonly #socket: SocketLike;
  #early: RuntimeFrame[] = [];
  #listener: ((frame: RuntimeFrame) => void) | undefined;
  #waiting: { resolve: (frame: RuntimeFrame) => void; reject: (error: Error) => void } | undefined;
  #open = false;
  readonly opened: Promise<undefined>;
  readonly closed: Promise<string>;

  constructor(dial: Dial, url: string) {
    this.#socket = dial(url);
    this.#socket.binaryType = "arraybuffer";
    const opened = Promise.withResolvers<undefined>();
    const closed = Promise.withResolvers<string>();
    this.opened = opened.promise;
    this.closed = closed.promise;
    // Whoever waits hears of it; nobody has to.
    opened.promise.catch(() => undefined);
    this.#socket.onopen = () => {
      this.#open = true;
      opened.resolve(undefined);
    };
    this.#socket.onclose = (event) => {
      this.#open = false;
      opened.reject(unreachable(url));
      this.#waiting?.reject(new Trouble("The runtime closed the connection.", event.reason));
      closed.resolve(event.reason);
    };
    this.#socket.onmessage = (event) => {
      this.#take(fromBinary(RuntimeFrameSchema, new Uint8Array(event.data as ArrayBuffer)));
    };
  }

  get isOpen(): boolean {
    return this.#open;
  }

  send(body: ClientBody, traceparent = ""): void {
    if (!this.#open) throw new Trouble("The runtime is not connected.", "Wait until it is connected again and repeat.");
    this.#socket.send(new Uint8Array(toBinary(ClientFrameSchema, create(ClientFrameSchema, { body, traceparent }))));
  }

  /** The next frame, while nobody listens. Refuses after `ms`. */
  next(ms: number): Promise<RuntimeFrame> {
    const early = this.#early.shift();
    if (early) return Promise.resolve(early);
    return new Promise((resolve, reject) => {
      const late = new Trouble("The runtime took too long to answer.", "Try again.");
      const timer = setTimeout(() => {
        this.#waiting?.reject(late);
      }, ms);
      const settled =
        <T>(act: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          this.#waiting = undefined;
          act(value);
        };
      this.#waiting = { resolve: settled(resolve), reject: settled(reject) };
    });
  }

  listen(listener: (frame: RuntimeFrame) => void): void {
    this.#listener = listener;
    const early = this.#early;
    this.#early = [];
    early.forEach(listener);
  }

  close(): void {
    this.#open = false;
    this.#listener = undefined;
    this.#socket.close(1000);
  }

  #take(frame: RuntimeFrame): void {
    if (this.#waiting) this.#waiting.resolve(frame);
    else if (this.#listener) this.#listener(frame);
    else this.#early.push(frame);
  }
}

function unreachable(url: string): Trouble {
  return new Trouble(
    `The runtime at ${new URL(url).host} does not answer.`,
    "Check that it is running and that this browser can reach it; over https, that the browser trusts its certificate.",
  );
}
