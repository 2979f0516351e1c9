import { type Member, MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { ConnectionLevel } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { ROLES, useAllMembers } from "../../members";
import { type Grant, sameGrant, toggled } from "../model/connection-form";

interface Props {
  workspaceId: string;
  grants: readonly Grant[];
  fault: string | undefined;
  onChange: (grants: readonly Grant[]) => void;
}

/** Owners always may both, and the others never may: ticking them changes nothing. */
const LEVELS = [
  { level: ConnectionLevel.USE, legend: "Who may use it", roles: [MemberRole.EDITOR, MemberRole.AGENT] },
  { level: ConnectionLevel.MANAGE, legend: "Who may change it", roles: [MemberRole.EDITOR] },
];

export function GrantsFields({ workspaceId, grants, fault, onChange }: Props) {
  const members = useAllMembers(workspaceId).data ?? [];
  return LEVELS.map(({ level, legend, roles }) => (
    <fieldset key={level} className="connection__part">
      <legend>{legend}</legend>
      <span className="field__hint">
        {grants.some((grant) => grant.level === level)
          ? "Owners, and those who are ticked."
          : "Everyone whose role may. The first one that is ticked closes it to the others."}
      </span>
      {choices(level, roles, members, grants).map(({ grant, label }) => (
        <label key={label} className="row">
          <input
            type="checkbox"
            checked={grants.some((one) => sameGrant(one, grant))}
            onChange={() => {
              onChange(toggled(grants, grant));
            }}
          />
          {label}
        </label>
      ))}
      {fault && <span className="field__error">{fault}</span>}
    </fieldset>
  ));
}

interface Choice {
  grant: Grant;
  label: string;
}

/** Roles and people that may be picked, and whatever is picked already, be it known or not. */
function choices(
  level: ConnectionLevel,
  roles: readonly MemberRole[],
  members: readonly Member[],
  grants: readonly Grant[],
): Choice[] {
  const people = members.filter((member) => roles.includes(member.role));
  const offered: Choice[] = [
    ...roles.map((role) => ({ grant: { level, role, userId: "" }, label: roleLabel(role) })),
    ...people.map(({ userId, email }) => ({ grant: { level, role: MemberRole.UNSPECIFIED, userId }, label: email })),
  ];
  const others = grants.filter(
    (grant) => grant.level === level && !offered.some((choice) => sameGrant(choice.grant, grant)),
  );
  return [...offered, ...others.map((grant) => ({ grant, label: otherLabel(grant, members) }))];
}

function otherLabel({ role, userId }: Grant, members: readonly Member[]): string {
  if (userId === "") return roleLabel(role);
  return members.find((member) => member.userId === userId)?.email ?? `Someone who is no member now (${userId})`;
}

function roleLabel(role: MemberRole): string {
  return `Every ${ROLES.find((one) => one.role === role)?.name.toLowerCase() ?? "unknown role"}`;
}
