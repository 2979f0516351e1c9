import { expect, test } from "vitest";
import { handOver, listed } from "./hand-over";

test("nobody is asked about their own code, nor before it is known who they are", () => {
  expect(handOver(1n, [], "me", undefined)).toEqual({ kind: "alone" });
  expect(handOver(1n, ["me"], "me", undefined)).toEqual({ kind: "alone" });
  expect(handOver(1n, ["ann"], "", undefined)).toEqual({ kind: "alone" });
});

test("the code of others asks for a choice, which holds for that kernel and those people", () => {
  expect(handOver(1n, ["ann", "me"], "me", undefined)).toEqual({ kind: "asked", others: ["ann"] });
  const kept = { kind: "kept", epoch: 1n, others: "ann" } as const;
  expect(handOver(1n, ["ann", "me"], "me", kept)).toEqual({ kind: "kept", others: ["ann"] });
  expect(handOver(1n, ["ann", "ben"], "me", kept)).toEqual({ kind: "asked", others: ["ann", "ben"] });
  expect(handOver(2n, ["ann"], "me", kept)).toEqual({ kind: "asked", others: ["ann"] });
});

test("a restart is told once the new kernel is there, until others come", () => {
  const restarted = { kind: "restarted", epoch: 1n, others: "ann" } as const;
  expect(handOver(2n, [], "me", restarted)).toEqual({ kind: "restarted" });
  expect(handOver(2n, ["me"], "me", restarted)).toEqual({ kind: "restarted" });
  expect(handOver(2n, ["ben"], "me", restarted)).toEqual({ kind: "asked", others: ["ben"] });
});

test("names are listed as people say them", () => {
  expect([[], ["Ann"], ["Ann", "Ben"], ["Ann", "Ben", "Cem"]].map(listed)).toEqual([
    "",
    "Ann",
    "Ann and Ben",
    "Ann, Ben and Cem",
  ]);
});
