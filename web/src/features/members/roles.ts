/** The five roles of a workspace, for people. */
import { MemberRole } from "../../gen/spinapis/auth/v1/members_pb";

export const ROLES: readonly { role: MemberRole; name: string; may: string }[] = [
  { role: MemberRole.OWNER, name: "Owner", may: "everything" },
  { role: MemberRole.EDITOR, name: "Editor", may: "create, edit and run" },
  { role: MemberRole.AGENT, name: "Agent", may: "run saved cells" },
  { role: MemberRole.VIEWER, name: "Viewer", may: "read" },
  { role: MemberRole.AUDITOR, name: "Auditor", may: "read the log and its proofs" },
];

export const ROLE_OPTIONS = ROLES.map(({ role, name, may }) => ({ value: String(role), label: `${name}: ${may}` }));

export function roleName(role: MemberRole): string {
  return ROLES.find((one) => one.role === role)?.name ?? "Unknown role";
}
