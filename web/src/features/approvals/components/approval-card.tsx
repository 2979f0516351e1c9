import { useState } from "react";
import { Link } from "wouter";
import { type Approval, ApprovalState } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { formatAgo, formatTime } from "../../../shared/clock";
import { SourceText } from "../../../shared/code";
import { Status } from "../../../shared/ui";
import { useConnectionName } from "../../connections";
import { usePersonEmail } from "../../members";
import { useNotebookTitle } from "../api/get-notebook-title";
import { fieldsText, stateText, timeLeft, usesTexts } from "../model/approval-text";
import { DecisionForm } from "./decision-form";

/** One request: who asks, for what exactly, and the decision. What was decided shows its cell when asked. */
export function ApprovalCard({ approval }: { approval: Approval }) {
  const { workspaceId, requestedBy, actorChain, note } = approval;
  const [now] = useState(Date.now);
  const emailOf = usePersonEmail(workspaceId);
  const [tone, text] = stateText(approval.state);
  const pending = approval.state === ApprovalState.PENDING;
  return (
    <li className="approval" aria-label={`${emailOf(requestedBy)}: ${text}`}>
      <div className="row">
        <Status tone={tone}>{text}</Status>
        <strong>{emailOf(requestedBy)}</strong>
        {actorChain.length > 0 && (
          <span>
            through <code>{actorChain.join(" → ")}</code>
          </span>
        )}
        <span className="list__detail" title={formatTime(approval.requestedAtMs)}>
          asked {formatAgo(approval.requestedAtMs, now)}
        </span>
        <span className="list__detail" title={formatTime(approval.expiresAtMs)}>
          {timeLeft(approval, now)}
        </span>
      </div>
      <Place approval={approval} />
      {note && <blockquote className="approval__note">{note}</blockquote>}
      <Uses approval={approval} />
      {pending ? (
        <Cell approval={approval} />
      ) : (
        <details>
          <summary>The cell</summary>
          <Cell approval={approval} />
        </details>
      )}
      {pending ? <DecisionForm approval={approval} /> : <Decided approval={approval} />}
    </li>
  );
}

function Place({ approval: { workspaceId, notebookId, cellId, cellType } }: { approval: Approval }) {
  const title = useNotebookTitle(workspaceId, notebookId);
  return (
    <span className="list__detail">
      {cellType} cell <code>{cellId}</code> of{" "}
      {title.isError ? (
        "a notebook that is gone"
      ) : (
        <Link className="approval__place" href={`/w/${workspaceId}/notebooks/${notebookId}`}>
          {title.data ?? "…"}
        </Link>
      )}
    </span>
  );
}

function Uses({ approval }: { approval: Approval }) {
  const connectionName = useConnectionName(approval.workspaceId);
  const texts = usesTexts(approval, connectionName);
  return (
    <ul className="approval__uses" aria-label="What the run may do">
      {texts.map((text) => (
        <li key={text}>{text}</li>
      ))}
    </ul>
  );
}

function Cell({ approval: { cellType, source, fieldsJson } }: { approval: Approval }) {
  const fields = fieldsText(fieldsJson);
  const language = cellType === "code" ? "python" : cellType;
  return (
    <div className="approval__cell">
      {fields && <SourceText label="Fields of the cell" language="json" text={fields} />}
      {(source || !fields) && <SourceText label="Source of the cell" language={language} text={source} />}
    </div>
  );
}

function Decided({ approval }: { approval: Approval }) {
  const emailOf = usePersonEmail(approval.workspaceId);
  if (!approval.decidedBy) return null;
  const how = approval.state === ApprovalState.REFUSED ? "Refused" : "Approved";
  return (
    <span className="list__detail">
      {how} by {emailOf(approval.decidedBy)} on {formatTime(approval.decidedAtMs)}
      {approval.decisionNote && `: ${approval.decisionNote}`}
    </span>
  );
}
