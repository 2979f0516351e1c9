import type { ReactNode } from "react";

export function Loading({ what }: { what: string }) {
  return (
    <div className="loading" role="status">
      <span className="spinner" aria-hidden="true" />
      Loading {what}…
    </div>
  );
}

/** Nothing is here yet: says what to do about it. */
export function Empty({ title, children, actions }: { title: string; children?: ReactNode; actions?: ReactNode }) {
  return (
    <div className="empty">
      <span className="empty__title">{title}</span>
      {children && <span>{children}</span>}
      {actions && <div className="empty__actions">{actions}</div>}
    </div>
  );
}

export type Tone = "ok" | "warn" | "bad" | "busy" | "plain";

export function Status({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`status status--${tone}`}>{children}</span>;
}
