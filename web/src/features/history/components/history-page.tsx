import { useState } from "react";
import { Link } from "wouter";
import { formatAgo, formatTime } from "../../../shared/clock";
import { Button, Empty, Loading, Notice, ProblemNotice, Status } from "../../../shared/ui";
import { useNotebooks } from "../../notebooks";
import { useRuntimes } from "../../runtimes";
import { useAlarms } from "../api/list-alarms";
import { useSessions } from "../api/list-sessions";

export function HistoryPage({ workspaceId }: { workspaceId: string }) {
  const sessions = useSessions(workspaceId);
  const notebooks = useNotebooks(workspaceId);
  const runtimes = useRuntimes(workspaceId);
  const [now] = useState(Date.now);
  const titleOf = (id: string): string => notebooks.items.find((notebook) => notebook.id === id)?.title ?? "A notebook";
  const runtimeName = (id: string): string => runtimes.data?.find((runtime) => runtime.id === id)?.name ?? "a runtime";
  if (sessions.loading) return <Loading what="sessions" />;
  return (
    <div className="stack">
      <h1>History</h1>
      <Alarms workspaceId={workspaceId} />
      {sessions.error && <ProblemNotice error={sessions.error} onRetry={sessions.again} />}
      {sessions.items.length === 0 && !sessions.error && (
        <Empty title="Nothing has run yet">
          Run a cell: what ran, who ran it and what came out is kept here, with proof.
        </Empty>
      )}
      {sessions.items.length > 0 && (
        <ul className="list">
          {sessions.items.map((session) => (
            <li key={session.id} className="list__row">
              <div className="list__main">
                <Link className="list__title" href={`/w/${workspaceId}/history/${session.id}`}>
                  {titleOf(session.notebookId)}
                </Link>
                <span className="list__detail" title={formatTime(session.openedAtMs)}>
                  on {runtimeName(session.runtimeId)}, opened {formatAgo(session.openedAtMs, now)}
                </span>
              </div>
              <Status tone={session.endedAtMs === 0n ? "ok" : "plain"}>
                {session.endedAtMs === 0n ? "Open" : "Ended"}
              </Status>
            </li>
          ))}
        </ul>
      )}
      {sessions.more && (
        <Button busy={sessions.loadingMore} onClick={sessions.more}>
          Show more
        </Button>
      )}
    </div>
  );
}

/** What the log found wrong by itself: it stands above everything else. */
function Alarms({ workspaceId }: { workspaceId: string }) {
  const alarms = useAlarms(workspaceId);
  return alarms.data?.map((alarm) => (
    <Notice key={alarm.id} tone="bad" title={alarm.text}>
      <span className="notice__advice">
        {alarm.type}, since {formatTime(alarm.raisedAtMs)}
      </span>
    </Notice>
  ));
}
