import { create } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test, vi } from "vitest";
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import {
  ErrorSchema,
  KernelPhase,
  LogProofSchema,
  RunPhase,
  TrustDocumentsSchema,
} from "../../../gen/spinapis/runtime/v1/frames_pb";
import { Trouble } from "../../../shared/api/problem";
import { FakeRuntime } from "../../../testing/fake-runtime";
import { kernelFrame, outputsFrame, printed, runFrame } from "../../../testing/frames";
import { ORDER, liveSession } from "../../../testing/live-session";
import { plainText } from "../../outputs/model";
import { FatalTrouble } from "./attach";
import type { SessionCalls } from "./calls";
import type { LiveSession } from "./live-session";

const live: LiveSession[] = [];

afterEach(() => {
  for (const session of live.splice(0)) session.stop();
});

function start(runtime: FakeRuntime, calls: Partial<SessionCalls> = {}): LiveSession {
  const session = liveSession(runtime, calls);
  live.push(session);
  session.start();
  return session;
}

const caughtUp = (session: LiveSession) =>
  vi.waitFor(() => {
    expect(session.view).toMatchObject({ link: "attached", caughtUp: true });
  });
const shown = (session: LiveSession): string =>
  session.view.stream.cells.a?.outputs.items
    .map((item) => (item.kind === "stream" ? plainText(item.text) : ""))
    .join("") ?? "";

describe("a live session", () => {
  test("attaches, replays everything and goes on", async () => {
    const runtime = new FakeRuntime();
    runtime.stream = [runFrame(1, 1, "a", RunPhase.RUNNING), outputsFrame(2, 1, "a", [printed("one\n")])];
    const session = start(runtime);
    await caughtUp(session);
    runtime.publish(outputsFrame(3, 1, "a", [printed("two\n", 2)]));
    expect(shown(session)).toBe("one\ntwo\n");
    expect(runtime.sent("resume")[0]?.position).toBe(0n);
  });

  test("a lost socket loses and repeats nothing", async () => {
    const runtime = new FakeRuntime();
    runtime.stream = [runFrame(1, 1, "a", RunPhase.RUNNING), outputsFrame(2, 1, "a", [printed("one\n")])];
    const session = start(runtime);
    await caughtUp(session);
    runtime.socket.close();
    runtime.publish(outputsFrame(3, 1, "a", [printed("two\n", 2)]));
    await vi.waitFor(() => {
      expect(runtime.sockets).toHaveLength(2);
    });
    await caughtUp(session);
    expect(shown(session)).toBe("one\ntwo\n");
    expect(runtime.sent("resume")[1]?.position).toBe(2n);
  });

  test("another boot of the runtime is replayed from its start", async () => {
    const runtime = new FakeRuntime();
    runtime.stream = [runFrame(1, 1, "a", RunPhase.RUNNING), outputsFrame(2, 1, "a", [printed("old\n")])];
    const session = start(runtime);
    await caughtUp(session);
    runtime.bootId = new Uint8Array(16).fill(8);
    runtime.stream = [];
    runtime.socket.close();
    await vi.waitFor(() => {
      expect(runtime.sent("resume")[1]?.position).toBe(0n);
    });
    await caughtUp(session);
    expect(session.view.stream.cells).toEqual({});
  });

  test("a position that is no longer kept begins again with all that is", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime);
    await caughtUp(session);
    runtime.socket.answer({ case: "error", value: create(ErrorSchema, { reason: ErrorReason.POSITION_UNKNOWN }) });
    await vi.waitFor(() => {
      expect(runtime.sent("resume").map((resume) => resume.position)).toEqual([0n, 0n]);
    });
  });

  test("a run is sent once and ends with its status", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime);
    runtime.onFrame = (body) => {
      if (body.case !== "sealed") return;
      const ciphertextDigest = body.value;
      runtime.publish(runFrame(1, 1, "a", RunPhase.RUNNING, { ciphertextDigest }));
      runtime.publish(runFrame(2, 1, "a", RunPhase.ENDED, { ciphertextDigest, status: RunStatus.ERROR }));
    };
    expect(await session.run(ORDER)).toMatchObject({ kind: "ended", status: RunStatus.ERROR });
    expect(runtime.sent("sealed")).toHaveLength(1);
    expect(session.view.submissions).toEqual({});
  });

  test("programs are compiled one after another, in the order of the clicks", async () => {
    const runtime = new FakeRuntime();
    const order: string[] = [];
    const session = start(runtime, {
      compile: async (_session, _attachment, { cellId }) => {
        order.push(`${cellId} begins`);
        await new Promise((resolve) => setTimeout(resolve, cellId === "a" ? 20 : 0));
        order.push(`${cellId} ends`);
        return { sealed: new TextEncoder().encode(cellId), ciphertextDigest: new TextEncoder().encode(cellId) };
      },
    });
    void session.run(ORDER);
    void session.run({ ...ORDER, cellId: "b" });
    await vi.waitFor(() => {
      expect(runtime.sent("sealed")).toHaveLength(2);
    });
    expect(order).toEqual(["a begins", "a ends", "b begins", "b ends"]);
  });

  test("a cell that does not compile keeps its problem and runs nothing", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime, { compile: () => Promise.reject(new Trouble("line 1 is wrong")) });
    expect(await session.run(ORDER)).toMatchObject({ kind: "refused", problem: { text: "line 1 is wrong" } });
    expect(session.view.submissions.a).toMatchObject({ phase: "refused" });
    expect(runtime.sent("sealed")).toHaveLength(0);
  });

  test("a kernel that does not start says why, at once", async () => {
    const runtime = new FakeRuntime();
    runtime.stream = [kernelFrame(1, KernelPhase.STOPPED)];
    runtime.onFrame = (body) => {
      if (body.case !== "startKernel") return;
      runtime.publish(kernelFrame(2, KernelPhase.STARTING));
      runtime.publish(kernelFrame(3, KernelPhase.DEAD, 1, "The policy cannot be enforced here."));
    };
    const session = start(runtime);
    await caughtUp(session);
    const problem = { text: "The kernel did not start.", advice: "The policy cannot be enforced here." };
    expect(await session.run(ORDER)).toMatchObject({ kind: "refused", problem });
  });

  test("a program that was on its way when the socket was lost is sent again", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime);
    await caughtUp(session);
    let dropped = false;
    runtime.onFrame = (body) => {
      if (body.case !== "sealed") return;
      if (!dropped) {
        dropped = true;
        runtime.socket.close();
        return;
      }
      runtime.publish(runFrame(1, 1, "a", RunPhase.ENDED, { ciphertextDigest: body.value }));
    };
    expect(await session.run(ORDER)).toMatchObject({ kind: "ended", status: RunStatus.OK });
    expect(runtime.sent("sealed")).toHaveLength(2);
  });

  test("a program of an earlier boot is given up, not sent to the new one", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime);
    await caughtUp(session);
    runtime.onFrame = (body) => {
      if (body.case !== "sealed") return;
      runtime.bootId = new Uint8Array(16).fill(9);
      runtime.socket.close();
    };
    expect(await session.run(ORDER)).toMatchObject({ kind: "refused" });
    expect(runtime.sent("sealed")).toHaveLength(1);
  });

  test("a runtime whose Hello does not verify is sent nothing more", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime, {
      credentials: () =>
        Promise.resolve({
          capability: new Uint8Array(),
          challenge: new Uint8Array(),
          sessionKey: new Uint8Array(),
          trust: create(TrustDocumentsSchema),
          verifyHello: () => Promise.reject(new Trouble("another runtime answers")),
          authenticate: () => Promise.resolve(new Uint8Array()),
        }),
    });
    await vi.waitFor(() => {
      expect(session.view).toMatchObject({ link: "waiting", problem: { text: "another runtime answers" } });
    });
    expect(runtime.sent("clientAuth")).toHaveLength(0);
  });

  test("the log's proof goes to the runtime before the first program", async () => {
    const runtime = new FakeRuntime();
    const logProof = create(LogProofSchema, { fromSize: 3n });
    const session = start(runtime, {
      logProof: () => new Promise((resolve) => setTimeout(resolve, 30, logProof)),
    });
    void session.run(ORDER);
    await vi.waitFor(() => {
      expect(runtime.sent("sealed")).toHaveLength(1);
    });
    expect(runtime.sent("trustDocuments")).toMatchObject([{ logProof: { fromSize: 3n } }]);
    const kinds = runtime.received.map((body) => body.case);
    expect(kinds.indexOf("trustDocuments")).toBeLessThan(kinds.indexOf("sealed"));
  });

  test("the credentials go to the runtime before the first program", async () => {
    const runtime = new FakeRuntime();
    const bundle = Uint8Array.of(200);
    const session = start(runtime, {
      credentialBundle: () => new Promise((resolve) => setTimeout(resolve, 30, { sealed: bundle, bundleVersion: 1n })),
    });
    void session.run(ORDER);
    await vi.waitFor(() => {
      expect(runtime.sent("sealed")).toEqual([bundle, Uint8Array.of(1)]);
    });
  });

  test("credentials that do not come stop no program that may need none", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime, { credentialBundle: () => Promise.reject(new Trouble("SPIN does not answer.")) });
    void session.run(ORDER);
    await vi.waitFor(() => {
      expect(runtime.sent("sealed")).toHaveLength(1);
    });
    expect(session.view.problem?.text).toBe("SPIN does not answer.");
  });

  test("a program that is refused for old credentials is compiled and sent once more, after newer ones", async () => {
    const runtime = new FakeRuntime();
    let synced = 0;
    const session = start(runtime, {
      credentialBundle: () => {
        synced += 1;
        return Promise.resolve({ sealed: Uint8Array.of(200 + synced), bundleVersion: BigInt(synced) });
      },
    });
    runtime.onFrame = (body) => {
      if (body.case !== "sealed" || (body.value[0] ?? 0) > 200) return;
      const position = runtime.stream.length + 1;
      const rejected = { ciphertextDigest: body.value, reason: ErrorReason.BUNDLE_STALE };
      runtime.publish(runFrame(position, position, "a", RunPhase.REJECTED, rejected));
    };
    // The second refusal stays: what was brought did not help.
    expect(await session.run(ORDER)).toMatchObject({ kind: "refused", problem: { reason: ErrorReason.BUNDLE_STALE } });
    expect(runtime.sent("sealed").map(([first]) => first)).toEqual([201, 1, 202, 2]);
  });

  test("a cell that would use up an approval is compiled again once the runtime has the credentials that it needs", async () => {
    const runtime = new FakeRuntime();
    const held: bigint[] = [];
    const session = start(runtime, {
      credentialBundle: () => Promise.resolve({ sealed: Uint8Array.of(200), bundleVersion: 7n }),
      compile: (_session, _attachment, { bundleVersion }) => {
        held.push(bundleVersion);
        if (held.length === 1) return Promise.reject(new Trouble("old", "", ErrorReason.BUNDLE_STALE));
        return Promise.resolve({ sealed: Uint8Array.of(1), ciphertextDigest: Uint8Array.of(1) });
      },
    });
    runtime.onFrame = (body) => {
      if (body.case === "sealed" && body.value[0] === 1)
        runtime.publish(runFrame(1, 1, "a", RunPhase.ENDED, { ciphertextDigest: body.value }));
    };
    expect(await session.run(ORDER)).toMatchObject({ kind: "ended" });
    expect(held.at(-1)).toBe(7n);
  });

  test.each([ErrorReason.HELLO_STALE, ErrorReason.LOG_UNPROVEN])(
    "what a new attachment mends (reason %i) is compiled again on one",
    async (reason) => {
      const runtime = new FakeRuntime();
      let compiled = 0;
      const session = start(runtime, {
        compile: () => {
          compiled += 1;
          if (compiled === 1) return Promise.reject(new Trouble("attach again", "", reason));
          return Promise.resolve({ sealed: Uint8Array.of(compiled), ciphertextDigest: Uint8Array.of(compiled) });
        },
      });
      runtime.onFrame = (body) => {
        if (body.case === "sealed")
          runtime.publish(runFrame(1, 1, "a", RunPhase.ENDED, { ciphertextDigest: body.value }));
      };
      expect(await session.run(ORDER)).toMatchObject({ kind: "ended" });
      expect(runtime.sockets).toHaveLength(2);
    },
  );

  test("a program that could not be sent was refused: no reconnection sends it", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime, {
      compile: async () => {
        runtime.socket.close();
        await vi.waitFor(() => {
          expect(session.view.link).not.toBe("attached");
        });
        return { sealed: Uint8Array.of(1), ciphertextDigest: Uint8Array.of(1) };
      },
    });
    expect(await session.run(ORDER)).toMatchObject({ kind: "refused" });
    await caughtUp(session);
    expect(runtime.sockets).toHaveLength(2);
    expect(runtime.sent("sealed")).toHaveLength(0);
  });

  test("a log that was rewritten ends the session, and nobody dials again", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime, { logProof: () => Promise.reject(new FatalTrouble("the log was rewritten")) });
    await vi.waitFor(() => {
      expect(session.view).toMatchObject({ link: "stopped", problem: { text: "the log was rewritten" } });
    });
    session.reconnect();
    expect(await session.run(ORDER)).toMatchObject({ kind: "refused" });
    expect(runtime.sockets).toHaveLength(1);
    expect(runtime.sent("sealed")).toHaveLength(0);
  });

  test("a log that does not answer stops neither stream nor programs, and is asked again", async () => {
    const runtime = new FakeRuntime();
    let asked = 0;
    const session = start(runtime, {
      logProof: () => {
        asked += 1;
        return asked < 3
          ? Promise.reject(new Trouble("SPIN does not answer."))
          : Promise.resolve(create(LogProofSchema));
      },
    });
    await caughtUp(session);
    void session.run(ORDER);
    await vi.waitFor(() => {
      expect(runtime.sent("sealed")).toHaveLength(1);
      expect(runtime.sent("trustDocuments")).toHaveLength(1);
    });
  });

  test.each([
    [ErrorReason.LOG_UNPROVEN, {}],
    [ErrorReason.ROLLBACK_REFUSED, { document: "checkpoint" }],
  ])("a runtime that finds fault with the log (reason %i) is attached to again", async (reason, metadata) => {
    const runtime = new FakeRuntime();
    const session = start(runtime);
    await caughtUp(session);
    runtime.socket.answer({ case: "error", value: create(ErrorSchema, { reason, metadata }) });
    await vi.waitFor(() => {
      expect(runtime.sockets).toHaveLength(2);
    });
    await caughtUp(session);
  });

  test("receipts go to the log and its acknowledgement comes back", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime, {
      uploadReceipts: (_session, receipts) => Promise.resolve(Uint8Array.of(9, receipts.length)),
    });
    await caughtUp(session);
    runtime.socket.answer({ case: "receipts", value: { receipts: [Uint8Array.of(1), Uint8Array.of(2)] } as never });
    await vi.waitFor(() => {
      expect(runtime.sent("receiptAck")).toEqual([Uint8Array.of(9, 2)]);
    });
  });
});
