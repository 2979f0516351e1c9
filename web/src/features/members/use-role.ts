/** The person's own standing in the workspace, read from its members: there is no call that tells it alone. */
import { MemberRole } from "../../gen/spinapis/auth/v1/members_pb";
import { useCurrentUser } from "../sign-in";
import { useAllMembers } from "./api/list-members";
import { type Permission, refusalOf } from "./model/permissions";

export interface Standing {
  userId: string;
  /** undefined while it loads, and for who is no member. */
  role: MemberRole | undefined;
  /** Why the role does not allow it; undefined when it does, or nobody knows yet. */
  refusal: (permission: Permission) => string | undefined;
}

export function useStanding(workspaceId: string): Standing {
  const userId = useCurrentUser().data?.id ?? "";
  const role = useAllMembers(workspaceId).data?.find((member) => member.userId === userId)?.role;
  return { userId, role, refusal: (permission) => refusalOf(role, permission) };
}
