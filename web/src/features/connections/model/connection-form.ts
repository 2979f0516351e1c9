/** A connection as its form holds it, and which of the service's complaints belongs to which of the form's fields. Pure. */
import type { MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import type { Connection, ConnectionKind, ConnectionLevel } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import type { Problem } from "../../../shared/api/problem";

const DAY_MS = 86_400_000;

export interface ConnectionForm {
  name: string;
  kind: string;
  configJson: string;
  /** Of a connection that is there: empty leaves the credential as it is. */
  credentialJson: string;
  /** JSON, as typed; empty for none. */
  referencesJson: string;
  exposable: boolean;
  /** As typed: names separated by commas or spaces. */
  hosts: string;
  operations: readonly string[];
  /** Those of the operations that need somebody else's approval for each run. */
  approval: readonly string[];
  grants: readonly Grant[];
  /** A day as a date field has it: "2027-01-31"; empty for never. */
  expiresOn: string;
  isDefault: boolean;
}

/** Either a role or a person. */
export interface Grant {
  readonly level: ConnectionLevel;
  readonly role: MemberRole;
  readonly userId: string;
}

export function newForm(kinds: readonly ConnectionKind[]): ConnectionForm {
  const [first] = kinds;
  const operations = first?.operations ?? [];
  return {
    name: "",
    kind: first?.name ?? "",
    configJson: "",
    credentialJson: "",
    referencesJson: "",
    exposable: false,
    hosts: "",
    operations,
    approval: [],
    grants: [],
    expiresOn: "",
    isDefault: false,
  };
}

export function formOf(connection: Connection): ConnectionForm {
  return {
    name: connection.name,
    kind: connection.kind,
    configJson: connection.configJson,
    credentialJson: "",
    referencesJson: connection.referencesJson,
    exposable: connection.exposable,
    hosts: connection.allowedHosts.join(", "),
    operations: connection.allowedOperations,
    approval: connection.approvalOperations,
    grants: connection.grants.map(({ level, role, userId }) => ({ level, role, userId })),
    expiresOn: dayOf(connection.expiresAtMs),
    isDefault: connection.isDefault,
  };
}

/** Another kind has other fields and operations. */
export function withKind(form: ConnectionForm, kind: ConnectionKind): ConnectionForm {
  return {
    ...form,
    ...{
      kind: kind.name,
      configJson: "",
      credentialJson: "",
      referencesJson: "",
      operations: kind.operations,
      approval: [],
    },
  };
}

/** Among the operations that are left: what may not be used at all needs no approval. */
export function approvalOf({ operations, approval }: Pick<ConnectionForm, "operations" | "approval">): string[] {
  return approval.filter((operation) => operations.includes(operation));
}

/** With the grant when it is missing, without it when it is there. */
export function toggled(grants: readonly Grant[], grant: Grant): Grant[] {
  const others = grants.filter((one) => !sameGrant(one, grant));
  return others.length < grants.length ? others : [...grants, grant];
}

export function sameGrant(a: Grant, b: Grant): boolean {
  return a.level === b.level && a.role === b.role && a.userId === b.userId;
}

/** The last moment of the day, where the person is; 0 for never. */
export function expiryOf(day: string): bigint {
  return day === "" ? 0n : BigInt(new Date(`${day}T23:59:59`).getTime());
}

export function dayOf(expiresAtMs: bigint): string {
  if (expiresAtMs === 0n) return "";
  const at = new Date(Number(expiresAtMs));
  const two = (part: number): string => String(part).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** When programs last used it; undefined where nobody says. */
export function lastUsed(usedAtMs: bigint | undefined, nowMs: number): string | undefined {
  if (usedAtMs === undefined) return undefined;
  if (usedAtMs === 0n) return "never used";
  const days = Math.max(0, Math.floor((nowMs - Number(usedAtMs)) / DAY_MS));
  return ["used today", "used yesterday"][days] ?? `used ${days} days ago`;
}

/** Why it has no test: what nobody can do with it cannot be tried. undefined when it has one, and before the kinds are known. */
export function untestable({ kind }: Connection, kinds: readonly ConnectionKind[]): string | undefined {
  const found = kinds.find(({ name }) => name === kind);
  if (kinds.length === 0 || (found && found.operations.length > 0)) return undefined;
  return `Connections of the kind ${kind} have no test here.`;
}

/** The host of the configured address, for who has not named any host: "https://api.internal:8443/v1" gives "api.internal:8443". */
export function hostOf(configJson: string): string {
  const addresses = /"(https?:\/\/[^"\s]+)"/.exec(configJson);
  return addresses?.[1] && URL.canParse(addresses[1]) ? new URL(addresses[1]).host : "";
}

export function words(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

/** What the service said of a field: "config_json.base_url", "allowed_hosts[1]". */
export function faultOf(problem: Problem | undefined, field: string): string | undefined {
  return problem?.violations.find((violation) => violation.field.replace(/\[\d+\]$/, "") === field)?.description;
}
