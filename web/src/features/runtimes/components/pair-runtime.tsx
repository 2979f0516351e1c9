import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { formatTime } from "../../../shared/clock";
import { Button, Copyable, Dialog, Loading, Notice, ProblemNotice, Tabs } from "../../../shared/ui";
import type { Pairing } from "../api/register-pairing";
import { startCommands } from "../model/start-commands";
import { usePairing } from "../use-pairing";
import { ConfirmRuntime } from "./confirm-runtime";

/** Second half of adding a runtime: its token, the commands that start it, the fingerprint. */
export function PairRuntime({ runtime, onClose }: { runtime: Runtime; onClose: () => void }) {
  const { state, again } = usePairing(runtime);
  return (
    <Dialog title={`Start “${runtime.name}”`} onClose={onClose}>
      {state.step === "minting" && <Loading what="the token" />}
      {state.step === "failed" && <ProblemNotice error={state.error} onRetry={again} />}
      {state.step === "waiting" && <Waiting pairing={state.pairing} />}
      {state.step === "paired" && <ConfirmRuntime runtime={runtime} onDone={onClose} />}
      {state.step !== "paired" && (
        <div className="dialog__actions">
          <Button onClick={onClose}>Later</Button>
        </div>
      )}
    </Dialog>
  );
}

function Waiting({ pairing }: { pairing: Pairing }) {
  const { token, runtime, expiresAtMs } = pairing;
  const tabs = startCommands(token, runtime.url).map((command) => ({
    name: command.name,
    content: (
      <div className="stack">
        {command.needs && <Notice tone="warn" title={command.needs} />}
        <Copyable label={`${command.name} command`} text={command.text} />
        <p className="field__hint">{command.hint}</p>
      </div>
    ),
  }));
  return (
    <>
      <Notice tone="warn" title="SPIN_TOKEN is a secret until the runtime is paired">
        <span>
          It was made in this browser and is shown this once. It works once, until {formatTime(expiresAtMs)}. Nobody who
          has it later can do anything with it.
        </span>
      </Notice>
      <Copyable label="SPIN_TOKEN" text={token} />
      <Tabs label="Ways to start the runtime" tabs={tabs} />
      <div className="loading" role="status">
        <span className="spinner" aria-hidden="true" />
        Waiting for the runtime at {runtime.url}…
      </div>
    </>
  );
}
