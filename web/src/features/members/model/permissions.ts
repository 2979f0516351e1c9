/**
 * What each role may do, so that the page offers nothing that would be refused. The services decide; their own table is compared with this one
 * by the repository's tests. Pure.
 */
import { MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { ROLES } from "../roles";

const { OWNER, EDITOR, AGENT } = MemberRole;

const MAY = {
  run: [OWNER, EDITOR, AGENT],
  "approval.decide": [OWNER, EDITOR],
  "notebook.edit": [OWNER, EDITOR],
  "connection.manage": [OWNER, EDITOR],
  "member.manage": [OWNER, EDITOR],
  "apikey.manage": [OWNER, EDITOR],
  "runtime.add": [OWNER, EDITOR],
  "runtime.confirm": [OWNER],
  "runtime.manage": [OWNER],
  "workspace.manage": [OWNER],
} as const satisfies Record<string, readonly MemberRole[]>;

export type Permission = keyof typeof MAY;

/** Why the role may not, in words; undefined when it may. A role that the page does not know is left to the services. */
export function refusalOf(role: MemberRole | undefined, permission: Permission): string | undefined {
  const who: readonly MemberRole[] = MAY[permission];
  const mine = ROLES.find((one) => one.role === role);
  if (!mine || who.includes(mine.role)) return undefined;
  const others = ROLES.filter((one) => who.includes(one.role)).map((one) => `${one.name.toLowerCase()}s`);
  return `Your role here is ${mine.name.toLowerCase()}: this is for ${listed(others)}.`;
}

function listed(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} and ${last}`;
}
