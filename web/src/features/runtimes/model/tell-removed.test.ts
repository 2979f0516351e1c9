import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { ErrorSchema, TrustDocumentsSchema } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { FakeRuntime, type FakeSocket } from "../../../testing/fake-runtime";
import { tellRemoved } from "./tell-removed";

const TRUST = create(TrustDocumentsSchema, { trustState: Uint8Array.of(1, 2, 3) });

class Refusing extends FakeRuntime {
  constructor(readonly reason: ErrorReason) {
    super();
  }

  override take(body: Parameters<FakeRuntime["take"]>[0], socket: FakeSocket): void {
    this.received.push(body);
    socket.answer({ case: "error", value: create(ErrorSchema, { reason: this.reason }) });
  }
}

test("a runtime that takes the news has stopped", async () => {
  const runtime = new Refusing(ErrorReason.RUNTIME_REVOKED);
  expect(await tellRemoved(runtime.dial, "http://localhost:8888", TRUST)).toBe(true);
  expect(runtime.sent("clientHello")[0]?.trust?.trustState).toEqual(TRUST.trustState);
  expect(runtime.sent("clientHello")[0]?.capability).toHaveLength(0);
});

test("one that answers anything else has not said that it stopped", async () => {
  const dial = new Refusing(ErrorReason.ROLLBACK_REFUSED).dial;
  expect(await tellRemoved(dial, "http://localhost:8888", TRUST)).toBe(false);
  expect(await tellRemoved(new FakeRuntime().dial, "http://localhost:8888", TRUST)).toBe(false);
});

test("one that cannot be reached was not told", async () => {
  const dial = () => {
    const socket = new FakeRuntime().dial();
    socket.onopen = null;
    queueMicrotask(() => {
      socket.close();
    });
    return socket;
  };
  expect(await tellRemoved(dial, "http://localhost:8888", TRUST)).toBe(false);
});

test("one that the browser does not let this page reach was not told", async () => {
  const dial = () => {
    throw new DOMException("mixed content", "SecurityError");
  };
  expect(await tellRemoved(dial, "http://elsewhere:8888", TRUST)).toBe(false);
});
