/** A runtime behind a socket, in memory: it answers the handshake, replays its stream, and remembers what it was sent. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ClientFrame,
  type RuntimeFrame,
  AttachedSchema,
  ClientFrameSchema,
  KernelPhase,
  KernelStateSchema,
  ResumedSchema,
  RuntimeFrameSchema,
} from "../gen/spinapis/runtime/v1/frames_pb";
import type { SocketLike } from "../features/session/model/frame-socket";

type Body = Exclude<ClientFrame["body"], { case: undefined }>;

type SentAs<C> = Extract<Body, { case: C }>["value"];

export class FakeRuntime {
  /** The session's stream; index 0 is position 1. */
  stream: RuntimeFrame[] = [];
  received: Body[] = [];
  sockets: FakeSocket[] = [];
  bootId = new Uint8Array(16).fill(7);
  /** Answers a frame beyond the handshake; tests set it. */
  onFrame: (body: Body) => void = () => undefined;

  dial = (): SocketLike => {
    const socket = new FakeSocket(this);
    this.sockets.push(socket);
    queueMicrotask(() => socket.onopen?.(new Event("open")));
    return socket;
  };

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("nobody has dialled");
    return socket;
  }

  /** Adds a frame to the stream and sends it. */
  publish(frame: RuntimeFrame): void {
    this.stream.push(frame);
    if (this.socket.resumed) this.socket.deliver(frame);
  }

  sent<C extends Body["case"]>(kind: C): SentAs<C>[] {
    return this.received.filter((body) => body.case === kind).map((body) => body.value as SentAs<C>);
  }

  take(body: Body, socket: FakeSocket): void {
    this.received.push(body);
    switch (body.case) {
      case "clientHello":
        socket.answer({ case: "hello", value: this.bootId });
        return;
      case "clientAuth":
        socket.answer({ case: "attached", value: this.#attached() });
        return;
      case "resume":
        socket.resumed = true;
        for (const frame of this.stream) if (frame.position > body.value.position) socket.deliver(frame);
        socket.answer({ case: "resumed", value: create(ResumedSchema, { position: BigInt(this.stream.length) }) });
        return;
      default:
        this.onFrame(body);
    }
  }

  #attached() {
    const kernel = create(KernelStateSchema, {
      phase: KernelPhase.IDLE,
      kernelName: "python3",
      kernelEpoch: 1n,
      language: "python",
    });
    return create(AttachedSchema, {
      bootId: this.bootId,
      firstPosition: 1n,
      lastPosition: BigInt(this.stream.length),
      kernel,
      trustExpiresAtMs: BigInt(Date.now() + 86_400_000),
    });
  }
}

export class FakeSocket implements SocketLike {
  binaryType = "";
  resumed = false;
  onopen: ((event: Event) => unknown) | null = null;
  onmessage: ((event: MessageEvent) => unknown) | null = null;
  onclose: ((event: CloseEvent) => unknown) | null = null;
  readonly #runtime: FakeRuntime;
  #closed = false;

  constructor(runtime: FakeRuntime) {
    this.#runtime = runtime;
  }

  send(data: Uint8Array<ArrayBuffer>): void {
    const { body } = fromBinary(ClientFrameSchema, data);
    if (body.case)
      queueMicrotask(() => {
        this.#runtime.take(body, this);
      });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.resumed = false;
    queueMicrotask(() => this.onclose?.(new CloseEvent("close")));
  }

  deliver(frame: RuntimeFrame): void {
    if (this.#closed) return;
    const data = toBinary(RuntimeFrameSchema, frame);
    this.onmessage?.(
      new MessageEvent("message", { data: data.buffer.slice(data.byteOffset, data.byteOffset + data.length) }),
    );
  }

  /** A frame of this connection alone. */
  answer(body: RuntimeFrame["body"]): void {
    this.deliver(create(RuntimeFrameSchema, { body }));
  }
}
