import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ConnectError, Code } from "@connectrpc/connect";
import { type Output, OutputBatchSchema } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { nonce, printed } from "../../../testing/frames";
import { BATCH_BYTES, Carrier, HIGH } from "./carrier";
import { runKey } from "./stream";

function carrying(fail: (call: number) => unknown = () => undefined) {
  const log = {
    outputs: [] as Output[][],
    receipts: [] as Uint8Array[][],
    acks: [] as Uint8Array[],
    congested: [] as boolean[],
    reported: [] as unknown[],
  };
  let calls = 0;
  const attempt = (): void => {
    const error = fail((calls += 1));
    if (error) throw error as Error;
  };
  const carrier = new Carrier({
    uploadOutputs: async (_nonce, outputs) => {
      await Promise.resolve(attempt());
      log.outputs.push([...outputs]);
    },
    uploadReceipts: async (receipts) => {
      await Promise.resolve(attempt());
      log.receipts.push(receipts);
      return Uint8Array.of(receipts.length);
    },
    acknowledge: (ack) => log.acks.push(ack),
    congested: (yes) => log.congested.push(yes),
    report: (error) => log.reported.push(error),
    pause: () => Promise.resolve(),
  });
  return { carrier, log };
}

const batch = (seq: number, ...outputs: Output[]) =>
  create(OutputBatchSchema, { nonce: nonce(seq), cellId: "a", outputs });
const indexes = (outputs: Output[][]): number[] => outputs.flat().map((output) => output.index);

describe("carrying to the log", () => {
  test("outputs go in their order, in batches under the limit", async () => {
    const { carrier, log } = carrying();
    const big = "x".repeat(1_000_000);
    for (let i = 1; i <= 6; i += 1) carrier.takeOutputs(batch(1, printed(big, i)));
    await carrier.drained();
    expect(indexes(log.outputs)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const sent of log.outputs) {
      expect(sent.reduce((sum, output) => sum + output.body.length, 0)).toBeLessThan(BATCH_BYTES);
    }
  });

  test("what comes while a call is on its way is not lost", async () => {
    const { carrier, log } = carrying();
    carrier.takeOutputs(batch(1, printed("a", 1)));
    await Promise.resolve();
    carrier.takeOutputs(batch(1, printed("b", 2)));
    carrier.takeOutputs(batch(2, printed("c", 1)));
    await carrier.drained();
    expect(indexes(log.outputs)).toEqual([1, 2, 1]);
  });

  test("a replay carries only what the log lacks", async () => {
    const { carrier, log } = carrying();
    carrier.knows({ [runKey(nonce(1))]: 2 });
    carrier.takeOutputs(batch(1, printed("a", 1), printed("b", 2), printed("c", 3)));
    carrier.takeOutputs(batch(1, printed("c", 3)));
    await carrier.drained();
    expect(indexes(log.outputs)).toEqual([3]);
  });

  test("output that came after the run's end belongs to no chain and is not carried", async () => {
    const { carrier, log } = carrying();
    carrier.takeOutputs(batch(1, printed("late", 0)));
    await carrier.drained();
    expect(log.outputs).toEqual([]);
  });

  test("a service that is away for a while gets everything later", async () => {
    const { carrier, log } = carrying((call) => call <= 3 && new ConnectError("away", Code.Unavailable));
    carrier.takeReceipts([Uint8Array.of(1), Uint8Array.of(2)]);
    await carrier.drained();
    expect(log.receipts).toHaveLength(1);
    expect(log.acks).toEqual([Uint8Array.of(2)]);
    expect(log.reported).toEqual([]);
  });

  test("a refusal for good is reported and does not stop what follows", async () => {
    const { carrier, log } = carrying((call) => call === 1 && new ConnectError("no", Code.PermissionDenied));
    carrier.takeOutputs(batch(1, printed("a", 1)));
    carrier.takeReceipts([Uint8Array.of(1)]);
    await carrier.drained();
    expect(log.reported).toHaveLength(1);
    expect(log.receipts).toHaveLength(1);
  });

  test("too much at once holds the stream until it went out", async () => {
    const { carrier, log } = carrying();
    const big = "x".repeat(2_000_000);
    for (let i = 1; i * 2_000_000 <= HIGH + 2_000_000; i += 1) carrier.takeOutputs(batch(1, printed(big, i)));
    expect(log.congested).toEqual([true]);
    await carrier.drained();
    expect(log.congested).toEqual([true, false]);
  });
});
