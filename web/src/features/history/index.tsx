export function HistoryPage(_: { workspaceId: string }) { return null; }
export function SessionHistoryPage(_: { workspaceId: string; sessionId: string }) { return null; }
