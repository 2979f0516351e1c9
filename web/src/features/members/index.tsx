export function MembersPage(_: { workspaceId: string }) { return null; }
