/** Ids of people as names. Whoever is no member any more, or is a machine, has an id alone. */
import { useMemo } from "react";
import type { Member } from "../../gen/spinapis/auth/v1/members_pb";
import { useAllMembers } from "./api/list-members";

type Naming = (userId: string) => string;

export function usePersonName(workspaceId: string): Naming {
  return useNaming(workspaceId, nameOf);
}

/** By e-mail, where whoever reads it is to write to them. */
export function usePersonEmail(workspaceId: string): Naming {
  return useNaming(workspaceId, emailOf);
}

function useNaming(workspaceId: string, said: (member: Member) => string): Naming {
  const { data } = useAllMembers(workspaceId);
  const names = useMemo(() => new Map(data?.map((member) => [member.userId, said(member)])), [data, said]);
  return (userId) => names.get(userId) ?? (data ? `someone who is no member now (${userId.slice(0, 8)})` : "…");
}

function nameOf({ displayName, email }: Member): string {
  return displayName || email;
}

function emailOf({ email }: Member): string {
  return email;
}
