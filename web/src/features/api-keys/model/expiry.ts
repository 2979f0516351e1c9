/** How long a key may live, and how it stands now. Pure. */
import type { ApiKey } from "../../../gen/spinapis/auth/v1/members_pb";

const DAY_MS = 24 * 3600 * 1000;

export const LIVES: readonly { value: string; label: string }[] = [
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "A year" },
  { value: "", label: "No end: until it is revoked" },
];

/** 0 means that it does not expire. */
export function expiryOf(days: string, now: number): bigint {
  return days === "" ? 0n : BigInt(now + Number(days) * DAY_MS);
}

export function standing(key: ApiKey, now: number): "active" | "expired" | "revoked" {
  if (key.revoked) return "revoked";
  return key.expiresAtMs !== 0n && Number(key.expiresAtMs) <= now ? "expired" : "active";
}
