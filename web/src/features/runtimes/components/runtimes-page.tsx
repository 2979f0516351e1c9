import { useState } from "react";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { Button, Empty, Loading, ProblemNotice } from "../../../shared/ui";
import { useNow } from "../../../shared/use-now";
import { useStanding } from "../../members";
import { useRuntimes } from "../api/list-runtimes";
import type { HalfReplaced, Replacement } from "../api/replace-runtime";
import type { Revoked } from "../api/revoke-runtime";
import { AddRuntime } from "./add-runtime";
import { HalfReplacedNotice } from "./half-replaced-notice";
import { PairRuntime } from "./pair-runtime";
import { RevokedNotice } from "./revoked-notice";
import { RuntimeRow } from "./runtime-row";
import "./runtimes.css";

interface Ended {
  revoked: Revoked;
  what: "removed" | "replaced";
}

export function RuntimesPage({ workspaceId }: { workspaceId: string }) {
  const runtimes = useRuntimes(workspaceId);
  const [adding, setAdding] = useState(false);
  const [pairing, setPairing] = useState<Runtime>();
  const [ended, setEnded] = useState<Ended>();
  const [half, setHalf] = useState<HalfReplaced>();
  const now = useNow();
  const onReplaced = (replacement: Replacement): void => {
    if (replacement.kind === "half") {
      setHalf(replacement);
      return;
    }
    setHalf(undefined);
    setEnded({ revoked: replacement.revoked, what: "replaced" });
    setPairing(replacement.successor);
  };
  const whyNot = useStanding(workspaceId).refusal("runtime.add");
  const add = (
    <Button
      look="primary"
      whyNot={whyNot}
      onClick={() => {
        setAdding(true);
      }}
    >
      Add a runtime
    </Button>
  );
  const news = (
    <>
      {half && <HalfReplacedNotice {...{ workspaceId, half, onReplaced }} />}
      {ended && (
        <RevokedNotice
          {...ended}
          now={now}
          onDismiss={() => {
            setEnded(undefined);
          }}
        />
      )}
    </>
  );
  if (runtimes.isPending) return <Loading what="runtimes" />;
  if (runtimes.isError) {
    return (
      <div className="stack">
        {news}
        <ProblemNotice error={runtimes.error} onRetry={() => void runtimes.refetch()} />
      </div>
    );
  }
  return (
    <div className="stack">
      <div className="page-head">
        <h1>Runtimes</h1>
        {runtimes.data.length > 0 && add}
      </div>
      {news}
      {runtimes.data.length === 0 ? (
        <Empty title="No runtime yet" actions={add}>
          Cells run on a runtime: a program that you start in your own network. SPIN never connects to it; your browser
          does.
        </Empty>
      ) : (
        <ul className="list">
          {runtimes.data.map((runtime) => (
            <RuntimeRow
              key={runtime.id}
              workspaceId={workspaceId}
              runtime={runtime}
              onPair={setPairing}
              onRemoved={(revoked) => {
                setEnded({ revoked, what: "removed" });
              }}
              onReplaced={onReplaced}
            />
          ))}
        </ul>
      )}
      {adding && (
        <AddRuntime
          workspaceId={workspaceId}
          first={runtimes.data.length === 0}
          onClose={() => {
            setAdding(false);
          }}
          onAdded={(runtime) => {
            setAdding(false);
            setPairing(runtime);
          }}
        />
      )}
      {pairing && (
        <PairRuntime
          runtime={pairing}
          onClose={() => {
            setPairing(undefined);
          }}
        />
      )}
    </div>
  );
}
