/** A workspace's policy as its form holds it, and in words. Pure. */
import type { WorkspacePolicy } from "../../../gen/spinapis/auth/v1/policy_pb";
import { EgressMode, type EgressPolicy } from "../../../gen/spinapis/envelope/v1/attach_pb";
import type { Problem } from "../../../shared/api/problem";
import { toHex } from "../../../shared/bytes";
import type { PolicyChange } from "../api/update-workspace-policy";

const HOUR_MS = 3_600_000;
export const GRACE_MOST_HOURS = 72;

export interface PolicyForm {
  mode: EgressMode;
  /** As typed: one on each line. */
  hosts: string;
  graceHours: string;
}

export const MODES: readonly { mode: EgressMode; name: string; hint: string }[] = [
  {
    mode: EgressMode.UNSPECIFIED,
    name: "As the workspaces above",
    hint: "No choice of its own: what they let pass, and open where none of them chose.",
  },
  {
    mode: EgressMode.NONE,
    name: "None",
    hint: "Kernels have no network. Connections still work: they go through the broker.",
  },
  {
    mode: EgressMode.ALLOW_LIST,
    name: "The hosts on a list",
    hint: "Kernels reach these through the runtime’s proxy, and nothing else. It takes a runtime that isolates kernels: SPIN_ISOLATION is not process there.",
  },
  {
    mode: EgressMode.OPEN,
    name: "Open",
    hint: "Kernels have the runtime’s network, with it the cloud’s metadata service.",
  },
];

export function formOf({ egress, trustGraceMs }: WorkspacePolicy): PolicyForm {
  return {
    mode: egress?.mode ?? EgressMode.UNSPECIFIED,
    hosts: egress?.hosts.join("\n") ?? "",
    graceHours: String(Number(trustGraceMs) / HOUR_MS),
  };
}

/** Of a form whose hours have no fault. */
export function changeOf(form: PolicyForm): PolicyChange {
  return {
    mode: form.mode,
    hosts: listedIn(form),
    trustGraceMs: BigInt(Math.round(Number(form.graceHours) * HOUR_MS)),
  };
}

/** Of whatever is typed. */
export function sameForm(a: PolicyForm, b: PolicyForm): boolean {
  const hours = Number(a.graceHours) === Number(b.graceHours);
  return hours && a.mode === b.mode && listedIn(a).join() === listedIn(b).join();
}

function listedIn({ mode, hosts }: PolicyForm): string[] {
  return mode === EgressMode.ALLOW_LIST ? hosts.split(/[\s,]+/).filter(Boolean) : [];
}

/** What the page itself finds wrong with the hours; undefined when nothing is. */
export function graceFault(hours: string): string | undefined {
  const value = Number(hours);
  const right = hours.trim() !== "" && value >= 0 && value <= GRACE_MOST_HOURS;
  return right ? undefined : `Give 0 to ${GRACE_MOST_HOURS} hours.`;
}

/** What the service said of a field: "egress.hosts[1]". */
export function faultOf(problem: Problem | undefined, field: string): string | undefined {
  return problem?.violations.find((violation) => violation.field.replace(/\[\d+\]$/, "") === field)?.description;
}

export function egressText(egress: EgressPolicy | undefined): string {
  switch (egress?.mode) {
    case EgressMode.NONE:
      return "None: kernels have no network.";
    case EgressMode.ALLOW_LIST:
      return egress.hosts.length === 0
        ? "No host: the lists of the workspaces above and of this one have none in common."
        : `These hosts alone: ${egress.hosts.join(", ")}.`;
    case EgressMode.OPEN:
      return "Open: kernels have the runtime’s network.";
    case EgressMode.UNSPECIFIED:
    case undefined:
      return "As the workspaces above.";
  }
}

/** The other workspaces whose choices count here, nearest first. */
export function aboveIn({ workspaceId, effectiveEgress }: WorkspacePolicy): string[] {
  return (effectiveEgress?.workspaceIds ?? []).map(toHex).filter((id) => id !== workspaceId);
}

/** What the workspace chose and those above do not let pass; undefined when all of the choice counts. */
export function withheld({ egress, effectiveEgress }: WorkspacePolicy): string | undefined {
  if (!egress || !effectiveEgress || egress.mode === EgressMode.UNSPECIFIED) return undefined;
  if (egress.mode === EgressMode.OPEN && effectiveEgress.mode !== EgressMode.OPEN)
    return "Open was chosen here, and the workspaces above allow less.";
  if (egress.mode !== EgressMode.ALLOW_LIST) return undefined;
  const passes = effectiveEgress.mode === EgressMode.ALLOW_LIST ? effectiveEgress.hosts : [];
  const kept = egress.hosts.filter((host) => !passes.includes(host));
  return kept.length === 0 ? undefined : `The workspaces above do not let pass: ${kept.join(", ")}.`;
}
