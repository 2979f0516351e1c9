import { useState } from "react";
import { Link } from "wouter";
import type { Connection } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { formatDuration } from "../../../shared/clock";
import type { RuntimeTrust } from "../../../shared/trust/enrolment";
import { Button, Dialog, Loading, Notice, ProblemNotice, ProblemText, SelectField } from "../../../shared/ui";
import { useNow } from "../../../shared/use-now";
import { useRuntimeTrust, useRuntimes } from "../../runtimes";
import { type TestState, useConnectionTest } from "../use-connection-test";

interface Props {
  /** Where it is used: an inherited connection has another one of its own. */
  workspaceId: string;
  connection: Connection;
  /** It was made a moment ago, and nobody asked for a test yet. */
  fresh?: boolean;
  onClose: () => void;
}

/** Tries a connection from a runtime: a test that ran elsewhere would say nothing of it. */
export function TestConnection({ workspaceId, connection, fresh = false, onClose }: Props) {
  const runtimes = useRuntimes(workspaceId);
  return (
    <Dialog title={fresh ? `“${connection.name}” is saved` : `Test “${connection.name}”`} onClose={onClose}>
      <p>
        {fresh ? "Try it now? " : ""}The test runs on a runtime, on the path that cells take and with the credential
        that they would use. It shows no content and no credential, and it is in the history.
      </p>
      {runtimes.isPending && <Loading what="runtimes" />}
      {runtimes.isError && <ProblemNotice error={runtimes.error} onRetry={() => void runtimes.refetch()} />}
      {runtimes.data &&
        (runtimes.data.length === 0 ? (
          <NoRuntime workspaceId={workspaceId} onClose={onClose} />
        ) : (
          <TestOn
            workspaceId={workspaceId}
            connection={connection}
            runtimes={runtimes.data}
            later={fresh ? "Later" : "Close"}
            onClose={onClose}
          />
        ))}
    </Dialog>
  );
}

function NoRuntime({ workspaceId, onClose }: { workspaceId: string; onClose: () => void }) {
  return (
    <>
      <Notice tone="warn" title="No runtime to test from">
        <span>
          Connections are used from a runtime, and this workspace has none.{" "}
          <Link href={`/w/${workspaceId}/runtimes`}>Add one under Runtimes</Link>, then test here.
        </span>
      </Notice>
      <div className="dialog__actions">
        <Button onClick={onClose}>Close</Button>
      </div>
    </>
  );
}

interface TestOnProps extends Pick<Props, "workspaceId" | "connection" | "onClose"> {
  runtimes: readonly Runtime[];
  later: string;
}

function TestOn({ workspaceId, connection, runtimes, later, onClose }: TestOnProps) {
  const [chosen, setChosen] = useState(() => (runtimes.find(({ isDefault }) => isDefault) ?? runtimes[0])?.id);
  const runtime = runtimes.find(({ id }) => id === chosen);
  const { state, start, cancel } = useConnectionTest(workspaceId, connection.id);
  const running = state.step === "running";
  if (!runtime) return <NoRuntime workspaceId={workspaceId} onClose={onClose} />;
  return (
    <>
      {runtimes.length > 1 && (
        <SelectField
          label="Runtime"
          value={runtime.id}
          disabled={running}
          options={runtimes.map(({ id, name, isDefault }) => ({
            value: id,
            label: isDefault ? `${name} (default)` : name,
          }))}
          onChange={setChosen}
        />
      )}
      <Result state={state} connection={connection} />
      <Actions
        {...{ workspaceId, runtime, running, later, onClose }}
        again={state.step === "done"}
        onStart={() => {
          start(runtime);
        }}
        onCancel={cancel}
      />
    </>
  );
}

interface ActionsProps extends Pick<TestOnProps, "workspaceId" | "later" | "onClose"> {
  runtime: Runtime;
  running: boolean;
  again: boolean;
  onStart: () => void;
  onCancel: () => void;
}

/** Nothing is sealed to a runtime that nobody confirmed: that is said instead of a test that would be refused. */
function Actions({ workspaceId, runtime, running, again, later, onClose, onStart, onCancel }: ActionsProps) {
  const trust = useRuntimeTrust(workspaceId, runtime);
  const lacks = trust.data && LACKS[trust.data.status];
  return (
    <>
      {trust.isError && <ProblemNotice error={trust.error} onRetry={() => void trust.refetch()} />}
      {lacks && (
        <Notice tone="warn" title={`${runtime.name} ${lacks}`}>
          <span>
            Nothing is sealed to it before that. <Link href={`/w/${workspaceId}/runtimes`}>Open Runtimes</Link>
          </span>
        </Notice>
      )}
      <div className="dialog__actions">
        {running ? (
          <Button onClick={onCancel}>Cancel the test</Button>
        ) : (
          <>
            <Button onClick={onClose}>{later}</Button>
            <Button look="primary" busy={trust.isPending} disabled={trust.isError || Boolean(lacks)} onClick={onStart}>
              {again ? "Test again" : "Test"}
            </Button>
          </>
        )}
      </div>
    </>
  );
}

const LACKS: Record<RuntimeTrust["status"], string> = {
  confirmed: "",
  paired: "is not confirmed yet",
  unpaired: "is not started yet",
  revoked: "was removed",
};

function Result({ state, connection }: { state: TestState; connection: Connection }) {
  const now = useNow(1000);
  switch (state.step) {
    case "ready":
      return null;
    case "running":
      return (
        <div className="loading" role="status">
          <span className="spinner" aria-hidden="true" />
          {state.progress}…<span aria-hidden="true">{Math.max(0, Math.round((now - state.sinceMs) / 1000))} s</span>
        </div>
      );
    case "done":
      return <Verdict {...state} connection={connection} />;
  }
}

type Done = Extract<TestState, { step: "done" }>;

function Verdict({ verdict, tookMs, runtimeName, connection }: Done & { connection: Connection }) {
  const took = <span className="notice__advice">{`From ${runtimeName}, ${formatDuration(tookMs)} in all.`}</span>;
  switch (verdict.kind) {
    case "works":
      return (
        <Notice tone="ok" title={`“${connection.name}” works`}>
          <span>{verdict.reached}</span>
          {took}
        </Notice>
      );
    case "fails":
      return (
        <Notice tone="bad" title={`“${connection.name}” does not work`}>
          <span className="connection__said">{verdict.text}</span>
          {took}
        </Notice>
      );
    case "refused":
      return <ProblemText problem={verdict.problem} />;
    case "cancelled":
      return <Notice tone="plain" title="The test was cancelled" />;
  }
}
