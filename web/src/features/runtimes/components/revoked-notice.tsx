import { formatTime } from "../../../shared/clock";
import { Button, Notice } from "../../../shared/ui";
import type { Revoked } from "../api/revoke-runtime";

interface Props {
  revoked: Revoked;
  /** What happened to its record. */
  what: "removed" | "replaced";
  now: number;
  onDismiss: () => void;
}

/** Whether the runtime has stopped, and until when it may go on if nobody knows. */
export function RevokedNotice({ revoked: { runtime, how, runsUntilMs }, what, now, onDismiss }: Props) {
  const goesOn = how === "unreached" && runsUntilMs > now;
  return (
    <Notice
      tone={goesOn ? "warn" : "ok"}
      title={`“${runtime.name}” was ${what}`}
      actions={
        <Button small look="quiet" onClick={onDismiss}>
          Dismiss
        </Button>
      }
    >
      {how === "told" && <span>It was told, and stopped.</span>}
      {how === "unreached" && !goesOn && (
        <span>It was not reached, and its trust had run out: nothing runs on it.</span>
      )}
      {goesOn && (
        <span>
          It could not be told at {runtime.url}. It may go on until its trust ends, {formatTime(runsUntilMs)}. Stop its
          process to end it now.
        </span>
      )}
    </Notice>
  );
}
