/** An approval in words, and who may decide on it. Pure. */
import { type Approval, ApprovalState } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { formatAgo } from "../../../shared/clock";
import { toHex } from "../../../shared/bytes";
import type { Tone } from "../../../shared/ui";

/** How long an approval may be used, in minutes. */
export const LIVES: readonly { value: string; label: string }[] = [
  { value: "15", label: "15 minutes" },
  { value: "60", label: "An hour" },
  { value: "480", label: "8 hours" },
  { value: "1440", label: "A day" },
];

export function lifeMs(minutes: string): bigint {
  return BigInt(minutes) * 60_000n;
}

/** Whether it may still become another. */
export function isOpen(state: ApprovalState): boolean {
  return state === ApprovalState.PENDING || state === ApprovalState.APPROVED;
}

export function stateText(state: ApprovalState): [Tone, string] {
  switch (state) {
    case ApprovalState.PENDING:
      return ["busy", "Waiting"];
    case ApprovalState.APPROVED:
      return ["ok", "Approved"];
    case ApprovalState.REFUSED:
      return ["bad", "Refused"];
    case ApprovalState.CANCELLED:
      return ["plain", "Taken back"];
    case ApprovalState.EXPIRED:
      return ["plain", "Expired"];
    case ApprovalState.USED:
      return ["ok", "Used for a run"];
    case ApprovalState.UNSPECIFIED:
      return ["plain", "Unknown"];
  }
}

export function timeLeft({ state, expiresAtMs }: Pick<Approval, "state" | "expiresAtMs">, now: number): string {
  if (!isOpen(state)) return "";
  const minutes = Math.floor((Number(expiresAtMs) - now) / 60_000);
  return minutes < 1 ? "expires within a minute" : `expires ${formatAgo(now + minutes * 60_000, now)}`;
}

/** What the run may do, one line for each connection. Operations of the runtime itself need no connection. */
export function usesTexts({ uses }: Approval, connectionName: (id: string) => string): string[] {
  return uses.map(({ connectionId, operations, paramsDigest }) => {
    const place = connectionId.length > 0 ? `with “${connectionName(toHex(connectionId))}”` : "of the runtime itself";
    const bound = paramsDigest.length > 0 ? ", with just these parameters" : "";
    return `${operations.join(", ")} ${place}${bound}`;
  });
}

/** Why this person does not decide; undefined when they may. */
export function whyNotDecide(
  { requestedBy, actorChain }: Pick<Approval, "requestedBy" | "actorChain">,
  userId: string,
  refusal: string | undefined,
): string | undefined {
  if (requestedBy !== userId) return refusal;
  return actorChain.length > 0
    ? "An agent asked for this in your name: somebody else has to decide."
    : "You asked for this: somebody else has to decide.";
}

/** The cell's fields, one on each line. */
export function fieldsText(fieldsJson: string): string {
  try {
    const fields: unknown = JSON.parse(fieldsJson || "{}");
    const some = typeof fields === "object" && fields !== null && Object.keys(fields).length > 0;
    return some ? JSON.stringify(fields, undefined, 2) : "";
  } catch {
    // Whatever it is, who decides has to see it.
    return fieldsJson;
  }
}
