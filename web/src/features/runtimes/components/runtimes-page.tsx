export function RuntimesPage(_: { workspaceId: string }) { return null; }
