import { create } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { ErrorSchema, RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { Trouble } from "../../../shared/api/problem";
import { FakeRuntime } from "../../../testing/fake-runtime";
import { outputsFrame, printed, questionFrame, runFrame } from "../../../testing/frames";
import { ORDER, credentials, liveSession } from "../../../testing/live-session";
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
const reconnecting = (session: LiveSession) =>
  new Promise<void>((resolve) => {
    session.subscribe(() => {
      if (session.view.link === "connecting") resolve();
    });
  });

describe("an attachment that is over", () => {
  test("a question outlasts an attachment, and is answered over the next one", async () => {
    const runtime = new FakeRuntime();
    runtime.stream = [runFrame(1, 1, "a", RunPhase.RUNNING), questionFrame(2, 1, "1.1", "name? ")];
    const session = start(runtime);
    await caughtUp(session);
    const between = reconnecting(session);
    runtime.socket.close();
    await between;
    session.answer("1.1", "too early");
    expect(session.view.stream.questions).toHaveLength(1);
    await vi.waitFor(() => {
      expect(runtime.sockets).toHaveLength(2);
    });
    await caughtUp(session);
    session.answer("1.1", "Ada");
    expect(session.view.stream.questions).toMatchObject([{ answer: "sent" }]);
    await vi.waitFor(() => {
      expect(runtime.sent("inputReply")).toMatchObject([{ requestId: "1.1", value: "Ada" }]);
    });
    runtime.publish(outputsFrame(3, 1, "a", [printed("Hello Ada")]));
    expect(session.view.stream.questions).toHaveLength(0);
  });

  test("an answer that was on its way when the socket was lost is asked for again", async () => {
    const runtime = new FakeRuntime();
    runtime.stream = [runFrame(1, 1, "a", RunPhase.RUNNING), questionFrame(2, 1, "1.1", "name? ")];
    const session = start(runtime);
    await caughtUp(session);
    session.answer("1.1", "Ada");
    runtime.socket.close();
    await vi.waitFor(() => {
      expect(runtime.sockets).toHaveLength(2);
      expect(session.view).toMatchObject({ caughtUp: true, stream: { questions: [{ answer: "open" }] } });
    });
  });

  test.each([
    [ErrorReason.INPUT_REFUSED, "theirs", undefined],
    [ErrorReason.SCOPE_MISSING, "open", "no"],
    [ErrorReason.NOT_FOUND, "sent", "no"],
  ])("an answer that is refused (reason %i) leaves the question %s", async (reason, answer, text) => {
    const runtime = new FakeRuntime();
    runtime.stream = [runFrame(1, 1, "a", RunPhase.RUNNING), questionFrame(2, 1, "1.1", "name? ")];
    runtime.onFrame = (body) => {
      if (body.case === "inputReply")
        runtime.socket.answer({ case: "error", value: create(ErrorSchema, { reason, message: "no" }) });
    };
    const session = start(runtime);
    await caughtUp(session);
    session.answer("1.1", "Ada");
    await vi.waitFor(() => {
      expect(runtime.sent("inputReply")).toHaveLength(1);
    });
    expect(session.view.stream.questions).toMatchObject([{ answer }]);
    expect(session.view.problem?.text).toBe(text);
  });

  test("what is begun between two attachments waits for the next one", async () => {
    const runtime = new FakeRuntime();
    const session = start(runtime);
    await caughtUp(session);
    runtime.onFrame = (body) => {
      if (body.case === "sealed")
        runtime.publish(runFrame(1, 1, "a", RunPhase.ENDED, { ciphertextDigest: body.value }));
    };
    const between = reconnecting(session);
    runtime.socket.close();
    await between;
    expect(await session.run(ORDER)).toMatchObject({ kind: "ended" });
  });

  test("whoever answers at the runtime's address ends nothing before it is verified", async () => {
    const runtime = new FakeRuntime();
    const value = create(ErrorSchema, { reason: ErrorReason.NOT_FOUND, message: "Nothing here." });
    vi.spyOn(runtime, "take").mockImplementationOnce((_body, socket) => {
      socket.answer({ case: "error", value });
    });
    const session = start(runtime);
    const waited = new Promise((resolve) => {
      session.subscribe(() => {
        if (session.view.link === "waiting") resolve(session.view.problem?.text);
      });
    });
    expect(await waited).toBe("Nothing here.");
    await caughtUp(session);
    expect(runtime.sockets).toHaveLength(2);
  });

  test.each([ErrorReason.NOT_FOUND, ErrorReason.PERMISSION_DENIED, ErrorReason.UNAUTHENTICATED])(
    "who may not attach any more (reason %i) is told so once, and the page asks no more",
    async (reason) => {
      const runtime = new FakeRuntime();
      let asked = 0;
      const session = start(runtime, {
        credentials: (...of) => {
          asked += 1;
          return asked === 1 ? credentials(...of) : Promise.reject(new Trouble("You were removed.", "", reason));
        },
      });
      await caughtUp(session);
      runtime.socket.close();
      await vi.waitFor(() => {
        expect(session.view).toMatchObject({ link: "stopped", problem: { text: "You were removed." } });
      });
      session.reconnect();
      expect(await session.run(ORDER)).toMatchObject({ kind: "refused", problem: { reason: ErrorReason.UNSPECIFIED } });
      expect([asked, runtime.sockets.length]).toEqual([2, 1]);
    },
  );
});
