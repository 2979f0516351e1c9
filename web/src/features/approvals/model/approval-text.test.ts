import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ApprovalSchema, ApprovalState } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { fieldsText, isOpen, lifeMs, timeLeft, usesTexts, whyNotDecide } from "./approval-text";

const NOW = 1_000_000;

test.each([
  [23 * 3600_000, "expires in 23 hours"],
  [15 * 60_000, "expires in 15 minutes"],
  [59_000, "expires within a minute"],
  [-5, "expires within a minute"],
])("with %i ms left it %s", (left, text) => {
  const approval = create(ApprovalSchema, { state: ApprovalState.PENDING, expiresAtMs: BigInt(NOW + left) });
  expect(timeLeft(approval, NOW)).toBe(text);
  expect(timeLeft({ ...approval, state: ApprovalState.USED }, NOW)).toBe("");
});

test("only what waits or may be used can still change", () => {
  const open = Object.values(ApprovalState).filter((state) => typeof state === "number" && isOpen(state));
  expect(open).toEqual([ApprovalState.PENDING, ApprovalState.APPROVED]);
});

test("uses name their connections, and what is bound", () => {
  const approval = create(ApprovalSchema, {
    uses: [
      { connectionId: Uint8Array.of(0xab), operations: ["rest.request"], paramsDigest: new Uint8Array(32) },
      { operations: ["runtime_env.get"] },
    ],
  });
  expect(usesTexts(approval, (id) => `name of ${id}`)).toEqual([
    "rest.request with “name of ab”, with just these parameters",
    "runtime_env.get of the runtime itself",
  ]);
});

test("nobody decides on their own request, nor on their agent's; others as their role says", () => {
  const asked = { requestedBy: "me", actorChain: [] };
  expect(whyNotDecide(asked, "me", undefined)).toContain("You asked");
  expect(whyNotDecide({ ...asked, actorChain: ["agent"] }, "me", undefined)).toContain("in your name");
  expect(whyNotDecide(asked, "other", "a viewer")).toBe("a viewer");
  expect(whyNotDecide(asked, "other", undefined)).toBeUndefined();
});

test("fields are shown whole, even when they are no JSON", () => {
  expect(fieldsText('{"url":"/purge"}')).toBe('{\n  "url": "/purge"\n}');
  expect(fieldsText("{}")).toBe("");
  expect(fieldsText("")).toBe("");
  expect(fieldsText("{oops")).toBe("{oops");
});

test("a life is in milliseconds", () => {
  expect(lifeMs("15")).toBe(900_000n);
});
