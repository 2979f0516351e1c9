import type { ReactNode } from "react";
import { type Problem, problemOf } from "../api/problem";
import { Button } from "./button";

interface NoticeProps {
  tone: "bad" | "warn" | "ok" | "plain";
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
}

export function Notice({ tone, title, children, actions }: NoticeProps) {
  return (
    <div className={`notice notice--${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <strong>{title}</strong>
      {children}
      {actions && <div className="notice__actions">{actions}</div>}
    </div>
  );
}

interface ProblemNoticeProps {
  /** Whatever was thrown. */
  error: unknown;
  onRetry?: (() => void) | undefined;
  onDismiss?: (() => void) | undefined;
}

/** What went wrong and how to go on. */
export function ProblemNotice({ error, onRetry, onDismiss }: ProblemNoticeProps) {
  return <ProblemText problem={problemOf(error)} onRetry={onRetry} onDismiss={onDismiss} />;
}

interface ProblemTextProps extends Omit<ProblemNoticeProps, "error"> {
  problem: Problem;
}

export function ProblemText({ problem, onRetry, onDismiss }: ProblemTextProps) {
  const traceId = problem.metadata.trace_id;
  return (
    <Notice
      tone="bad"
      title={problem.text}
      actions={
        (onRetry ?? onDismiss) && (
          <>
            {onRetry && (
              <Button small onClick={onRetry}>
                Try again
              </Button>
            )}
            {onDismiss && (
              <Button small look="quiet" onClick={onDismiss}>
                Dismiss
              </Button>
            )}
          </>
        )
      }
    >
      {violationsBeside(problem).map((violation) => (
        <span key={`${violation.field} ${violation.description}`}>
          {violation.field && <code>{violation.field}</code>} {violation.description}
        </span>
      ))}
      {problem.advice && <span className="notice__advice">{problem.advice}</span>}
      {traceId && (
        <span className="notice__advice">
          Trace <code>{traceId}</code>
        </span>
      )}
    </Notice>
  );
}

/** Of a single violation that the text repeats only the field is left to say. */
function violationsBeside({ text, violations }: Problem): Problem["violations"] {
  const [only, ...others] = violations;
  if (!only || others.length > 0 || !text.includes(only.description)) return violations;
  return only.field ? [{ field: only.field, description: "" }] : [];
}
