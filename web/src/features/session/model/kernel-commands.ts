/** What is asked of a session's kernel, frame by frame. */
import { create } from "@bufbuild/protobuf";
import type { RunNonce } from "../../../gen/spinapis/envelope/v1/run_pb";
import {
  type CompleteReply,
  type InspectReply,
  CancelQueuedSchema,
  CompleteSchema,
  InputReplySchema,
  InspectSchema,
  InterruptSchema,
  RestartKernelSchema,
  StartKernelSchema,
  StopKernelSchema,
} from "../../../gen/spinapis/runtime/v1/frames_pb";
import type { ClientBody } from "./frame-socket";
import type { Pending } from "./pending";

export class KernelCommands {
  readonly #send: (body: ClientBody) => void;
  readonly #kernelName: string;
  readonly #pending: Pending;

  constructor(send: (body: ClientBody) => void, kernelName: string, pending: Pending) {
    this.#send = send;
    this.#kernelName = kernelName;
    this.#pending = pending;
  }

  start(): void {
    this.#send({ case: "startKernel", value: create(StartKernelSchema, { kernelName: this.#kernelName }) });
  }

  stop(): void {
    this.#send({ case: "stopKernel", value: create(StopKernelSchema) });
  }

  restart(): void {
    this.#send({ case: "restartKernel", value: create(RestartKernelSchema) });
  }

  interrupt(clearQueue = false): void {
    this.#send({ case: "interrupt", value: create(InterruptSchema, { clearQueue }) });
  }

  cancelQueued(nonce: RunNonce): void {
    this.#send({ case: "cancelQueued", value: create(CancelQueuedSchema, { nonce }) });
  }

  answer(requestId: string, value: string): void {
    this.#send({ case: "inputReply", value: create(InputReplySchema, { requestId, value }) });
  }

  /** `cursor` counts Unicode code points. */
  complete(code: string, cursor: number): Promise<CompleteReply> {
    return this.#pending.ask((requestId) => {
      this.#send({ case: "complete", value: create(CompleteSchema, { requestId, code, cursor }) });
    });
  }

  inspect(code: string, cursor: number): Promise<InspectReply> {
    return this.#pending.ask((requestId) => {
      this.#send({ case: "inspect", value: create(InspectSchema, { requestId, code, cursor, detailLevel: 0 }) });
    });
  }
}
