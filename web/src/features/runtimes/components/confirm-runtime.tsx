import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { Button, Loading, Notice, ProblemNotice } from "../../../shared/ui";
import { useConfirmRuntime } from "../api/confirm-runtime";
import { useRuntimeTrust } from "../api/get-runtime-trust";

/** The fingerprint to compare, and the button that says it was compared. */
export function ConfirmRuntime({ runtime, onDone }: { runtime: Runtime; onDone: () => void }) {
  const trust = useRuntimeTrust(runtime.workspaceId, runtime);
  const confirm = useConfirmRuntime(runtime);
  if (trust.isPending) return <Loading what="the fingerprint" />;
  if (trust.isError) return <ProblemNotice error={trust.error} onRetry={() => void trust.refetch()} />;
  if (!("enrolled" in trust.data)) {
    return <Notice tone="bad" title="The runtime is not paired." />;
  }
  const { fingerprint, confirmed } = trust.data.enrolled;
  return (
    <div className="stack">
      <p>
        Compare this fingerprint with the one in the runtime’s own log. If they are equal, confirm it: from then on
        cells may run there. If they differ, something else answered at this address: remove the runtime.
      </p>
      <Fingerprint text={fingerprint} />
      {confirm.isError && <ProblemNotice error={confirm.error} />}
      {confirmed ? (
        <>
          <Notice tone="ok" title="The runtime is confirmed" />
          <div className="dialog__actions">
            <Button look="primary" onClick={onDone}>
              Done
            </Button>
          </div>
        </>
      ) : (
        <div className="dialog__actions">
          <Button onClick={onDone}>Later</Button>
          <Button
            look="primary"
            busy={confirm.isPending}
            onClick={() => {
              confirm.mutate(fingerprint);
            }}
          >
            They are equal: confirm
          </Button>
        </div>
      )}
    </div>
  );
}

export function Fingerprint({ text }: { text: string }) {
  return (
    <code className="fingerprint" aria-label="Fingerprint">
      {text.split(/\s+/).map((group, i) => (
        <span key={i}>{group}</span>
      ))}
    </code>
  );
}
