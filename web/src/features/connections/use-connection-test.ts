/** A test of a connection on a runtime, for React. Leaving the page cancels it. */
import { useEffect, useRef, useState } from "react";
import { useQueryClient } from "@tanstack/react-query";
import type { Runtime } from "../../gen/spinapis/workspace/v1/workspaces_pb";
import { useApi } from "../../shared/api/context";
import { useStanding } from "../members";
import { beginSession, endSession, openSession } from "../session";
import { testsNotebook } from "./api/tests-notebook";
import { testOrder, tryConnection } from "./model/connection-test";
import type { Verdict } from "./model/test-verdict";

export type TestState =
  | { step: "ready" }
  | { step: "running"; progress: string; sinceMs: number }
  | { step: "done"; verdict: Verdict; tookMs: number; runtimeName: string };

export function useConnectionTest(workspaceId: string, connectionId: string) {
  const { transport } = useApi();
  const queries = useQueryClient();
  const { userId } = useStanding(workspaceId);
  const [state, setState] = useState<TestState>({ step: "ready" });
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const start = async (runtime: Runtime): Promise<void> => {
    const stop = new AbortController();
    running.current = stop;
    const sinceMs = Date.now();
    const tell = (progress: string): void => {
      if (!stop.signal.aborted) setState({ step: "running", progress, sinceMs });
    };
    tell(`Waiting until an earlier test on ${runtime.name} is over`);
    let sessionId = "";
    const open = async () => {
      tell(`Opening a session on ${runtime.name}`);
      const notebookId = await testsNotebook(transport, workspaceId);
      const opened = await openSession(transport, { workspaceId, notebookId, runtimeId: runtime.id, kernelName: "" });
      sessionId = opened.id;
      return beginSession(transport, { workspaceId, notebookId, sessionId, runtime, kernelName: "" });
    };
    const by = {
      me: userId,
      // A lock of the browser: the test before may be of another tab, or of a dialog that was closed.
      alone: (act: () => Promise<void>) =>
        navigator.locks.request(`spin.connection-tests.${workspaceId}.${runtime.id}`, { signal: stop.signal }, act),
      open,
      end: () => endSession(transport, workspaceId, sessionId),
      tell,
    };
    const verdict = await tryConnection(testOrder(connectionId), by, stop.signal);
    if (running.current !== stop) return;
    setState({ step: "done", verdict, tookMs: Date.now() - sinceMs, runtimeName: runtime.name });
    void queries.invalidateQueries({ queryKey: [workspaceId, "connections"] });
  };
  return {
    state,
    start: (runtime: Runtime) => void start(runtime),
    cancel: () => running.current?.abort(),
  };
}
