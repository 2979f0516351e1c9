export function ConnectionsPage(_: { workspaceId: string }) { return null; }
