import { describe, expect, it } from "vitest";
import { standing } from "./lasting";

const EXPIRES = Date.UTC(2030, 0, 1);
const HOUR = 3_600_000;

describe("how long a runtime's trust lasts", () => {
  it("is told while it is fresh, and needs no advice", () => {
    const told = standing({ expiresAtMs: EXPIRES, runsUntilMs: EXPIRES }, EXPIRES - 1);
    expect([told.phase, told.tone, told.text]).toEqual(["fresh", "ok", ""]);
    expect(told.title).toContain("2030");
  });

  it("ends at once where the workspace gives no grace", () => {
    const told = standing({ expiresAtMs: EXPIRES, runsUntilMs: EXPIRES }, EXPIRES);
    expect([told.phase, told.tone]).toEqual(["expired", "bad"]);
    expect(told.advice).toContain("Opening a session on it renews its trust");
  });

  it("warns in the grace, and says when that is over", () => {
    const lasting = { expiresAtMs: EXPIRES, runsUntilMs: EXPIRES + 2 * HOUR };
    const told = standing(lasting, EXPIRES + HOUR);
    expect([told.phase, told.tone]).toEqual(["grace", "warn"]);
    expect(told.text).toContain("Cells go on until");
    expect(standing(lasting, EXPIRES + 2 * HOUR).phase).toBe("expired");
  });

  it("tells a runtime that never got any from one whose trust is over", () => {
    expect(standing({ expiresAtMs: 0, runsUntilMs: 0 }, EXPIRES).phase).toBe("none");
  });
});
