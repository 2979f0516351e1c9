import { Button, Notice, ProblemNotice, ProblemText } from "../../../shared/ui";
import { standing } from "../../../shared/trust/lasting";
import { useNow } from "../../../shared/use-now";
import { type SessionHandle, useSessionPart } from "../../session";

/** What the person should know of the connection to the runtime. */
export function SessionNotices({ handle }: { handle: SessionHandle }) {
  const { session, error } = handle;
  const link = useSessionPart(session, (view) => view.link);
  const problem = useSessionPart(session, (view) => view.problem);
  const warnings = useSessionPart(session, (view) => view.warnings) ?? [];
  const trust = useSessionPart(session, (view) => view.trust);
  const now = useNow();
  const told = trust && trust.expiresAtMs > 0 ? standing(trust, now) : undefined;
  return (
    <>
      {error !== undefined && <ProblemNotice error={error} />}
      {link === "waiting" && (
        <Notice
          tone="warn"
          title="Not connected to the runtime"
          actions={
            <Button small onClick={() => session?.reconnect()}>
              Try now
            </Button>
          }
        >
          <span>
            {problem?.text} {problem?.advice} Running cells go on; their output is kept and comes as soon as the
            connection is back.
          </span>
        </Notice>
      )}
      {link === "stopped" && problem && (
        <Notice tone="bad" title="The session was ended">
          <span>
            {problem.text} {problem.advice}
          </span>
        </Notice>
      )}
      {link === "held" && (
        <Notice tone="plain" title="Waiting for the audit log">
          <span>The output comes faster than it can be stored. It is kept at the runtime and goes on in a moment.</span>
        </Notice>
      )}
      {link === "attached" && problem && <ProblemText problem={problem} />}
      {link === "attached" && told && told.text !== "" && (
        <Notice
          tone={told.tone}
          title={told.phase === "grace" ? "The runtime is in its grace" : "The runtime’s trust has expired"}
        >
          <span>{told.text} This page renews it as soon as the platform answers.</span>
        </Notice>
      )}
      {warnings.map((warning) => (
        <Notice key={warning} tone="warn" title="The runtime warns">
          <span>{warning}</span>
        </Notice>
      ))}
    </>
  );
}
