/** The live session of an open notebook, for React. */
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { useQueryClient } from "@tanstack/react-query";
import type { Runtime } from "../../gen/spinapis/workspace/v1/workspaces_pb";
import { useApi } from "../../shared/api/context";
import { Trouble } from "../../shared/api/problem";
import { findOpenSession } from "./api/find-open-session";
import { openSession } from "./api/open-session";
import { beginSession } from "./begin-session";
import type { LiveSession } from "./model/live-session";
import { Latest } from "./model/latest";
import type { SessionView } from "./model/session-view";

export interface SessionHandle {
  session: LiveSession | undefined;
  /** The session, opened when there is none yet. */
  connect: () => Promise<LiveSession>;
  opening: boolean;
  error: unknown;
}

interface Wanted {
  workspaceId: string;
  notebookId: string;
  /** undefined while the list loads; null when the workspace has none. */
  runtime: Runtime | null | undefined;
  /** Why the list did not load. */
  runtimeError: unknown;
  kernelName: string;
}

/** Joins the notebook's open session on the runtime when there is one; a new one is opened when something shall run. */
export function useLiveSession({ workspaceId, notebookId, runtime, runtimeError, kernelName }: Wanted): SessionHandle {
  const { transport } = useApi();
  const queries = useQueryClient();
  const [session, setSession] = useState<LiveSession>();
  const [opening, setOpening] = useState(false);
  const [error, setError] = useState<unknown>();
  // A run that was begun earlier must find the session that was opened since: it looks here and not at what was drawn then.
  const present = useRef<Promise<LiveSession>>(undefined);
  // A click on Run may come before the list of runtimes: it waits for that.
  const [place] = useState(() => new Latest<Runtime | null>());
  const runtimeId = runtime?.id;
  const runtimeUrl = runtime?.url;

  const begin = (sessionId: string, to: Runtime): LiveSession => {
    const live = beginSession(transport, { workspaceId, notebookId, sessionId, runtime: to, kernelName });
    setSession(live);
    return live;
  };

  useEffect(() => {
    if (runtime !== undefined) place.set(runtime);
    else if (runtimeError) place.fail(runtimeError);
  }, [place, runtime, runtimeError]);

  useEffect(() => {
    if (!runtime) return undefined;
    let left = false;
    findOpenSession(transport, workspaceId, notebookId, runtime.id)
      .then((found) => {
        if (found && !left && !present.current) present.current = Promise.resolve(begin(found.id, runtime));
      })
      .catch(setError);
    return () => {
      left = true;
      present.current?.then(
        (live) => {
          live.stop();
        },
        () => undefined,
      );
      present.current = undefined;
      setSession(undefined);
    };
    // A runtime that was renamed is the same runtime: its id and address alone count.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [transport, workspaceId, notebookId, runtimeId, runtimeUrl]);

  const open = async (): Promise<LiveSession> => {
    setOpening(true);
    setError(undefined);
    try {
      const to = await place.get();
      if (!to) throw new Trouble("This workspace has no runtime to run on.", "Add one under Runtimes.");
      const opened = await openSession(transport, { workspaceId, notebookId, runtimeId: to.id, kernelName });
      void queries.invalidateQueries({ queryKey: [workspaceId, "sessions"] });
      return begin(opened.id, to);
    } catch (problem) {
      present.current = undefined;
      throw problem;
    } finally {
      setOpening(false);
    }
  };
  const connect = (): Promise<LiveSession> => (present.current ??= open());
  return { session, connect, opening, error };
}

const NEVER = (): (() => void) => () => undefined;

/** A part of what the session knows; the component is drawn again when that part changes. */
export function useSessionPart<T>(session: LiveSession | undefined, part: (view: SessionView) => T): T | undefined {
  return useSyncExternalStore(session?.subscribe ?? NEVER, () => (session ? part(session.view) : undefined));
}
