/** Frames as a runtime sends them, short enough to read in a test. */
import { create, toBinary } from "@bufbuild/protobuf";
import { RunStatus } from "../gen/spinapis/envelope/v1/receipt_pb";
import { type RunNonce, RunNonceSchema } from "../gen/spinapis/envelope/v1/run_pb";
import {
  type KernelPhase,
  type Output,
  type RuntimeFrame,
  InputRequestSchema,
  KernelStateSchema,
  OutputBatchSchema,
  OutputBodySchema,
  OutputKind,
  OutputSchema,
  RunPhase,
  RunStateSchema,
  RuntimeFrameSchema,
} from "../gen/spinapis/runtime/v1/frames_pb";

export const BOOT = new Uint8Array(16).fill(7);

export function nonce(seq: number, epoch = 1, bootId = BOOT): RunNonce {
  return create(RunNonceSchema, { bootId, kernelEpoch: BigInt(epoch), seq: BigInt(seq) });
}

export function output(kind: OutputKind, content: unknown, index = 1): Output {
  const body = toBinary(
    OutputBodySchema,
    create(OutputBodySchema, { content: new TextEncoder().encode(JSON.stringify(content)) }),
  );
  return create(OutputSchema, { index, kind, body });
}

export function printed(text: string, index = 1): Output {
  return output(OutputKind.STREAM, { name: "stdout", text }, index);
}

export function outputsFrame(position: number, seq: number, cellId: string, outputs: Output[]): RuntimeFrame {
  const value = create(OutputBatchSchema, { nonce: nonce(seq), cellId, outputs });
  return create(RuntimeFrameSchema, { position: BigInt(position), body: { case: "outputs", value } });
}

export function runFrame(
  position: number,
  seq: number,
  cellId: string,
  phase: RunPhase,
  more: { status?: RunStatus; ciphertextDigest?: Uint8Array; message?: string; userId?: string } = {},
): RuntimeFrame {
  const ended = phase === RunPhase.ENDED ? RunStatus.OK : RunStatus.UNSPECIFIED;
  const value = create(RunStateSchema, {
    nonce: nonce(seq),
    cellId,
    phase,
    status: ended,
    timeMs: BigInt(position),
    ...more,
  });
  return create(RuntimeFrameSchema, { position: BigInt(position), body: { case: "runState", value } });
}

export function kernelFrame(
  position: number,
  phase: KernelPhase,
  epoch = 1,
  message = "",
  userIds: string[] = [],
): RuntimeFrame {
  const value = create(KernelStateSchema, {
    phase,
    kernelName: "python3",
    kernelEpoch: BigInt(epoch),
    language: "python",
    message,
    userIds,
  });
  return create(RuntimeFrameSchema, { position: BigInt(position), body: { case: "kernelState", value } });
}

export function questionFrame(position: number, seq: number, requestId: string, prompt: string): RuntimeFrame {
  const value = create(InputRequestSchema, { nonce: nonce(seq), prompt, requestId });
  return create(RuntimeFrameSchema, { position: BigInt(position), body: { case: "inputRequest", value } });
}
