/**
 * How a person goes on in a kernel in which others ran code: begin with a new one, or keep it with the connections that all may use. The
 * choice is of one kernel; a newcomer's code, or a new kernel, asks anew.
 */
export interface Choice {
  kind: "restarted" | "kept";
  epoch: bigint;
  others: string;
}

export type HandOver =
  { kind: "alone" } | { kind: "restarted" } | { kind: "asked" | "kept"; others: readonly string[] };

export function handOver(epoch: bigint, userIds: readonly string[], me: string, choice: Choice | undefined): HandOver {
  const others = me ? userIds.filter((userId) => userId !== me) : [];
  if (others.length > 0) {
    const kept = choice?.kind === "kept" && choice.epoch === epoch && choice.others === others.join();
    return { kind: kept ? "kept" : "asked", others };
  }
  return { kind: choice?.kind === "restarted" && epoch > choice.epoch ? "restarted" : "alone" };
}

/** "Ann", "Ann and Ben", "Ann, Ben and Cem". */
export function listed(names: readonly string[]): string {
  const last = names.at(-1) ?? "";
  return names.length < 2 ? last : `${names.slice(0, -1).join(", ")} and ${last}`;
}
