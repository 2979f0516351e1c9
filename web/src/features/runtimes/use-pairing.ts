/** The state of adding a runtime: mint the token, wait until the runtime answers, pair. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Runtime } from "../../gen/spinapis/workspace/v1/workspaces_pb";
import { ErrorReason } from "../../gen/spinapis/errors/v1/reasons_pb";
import { useApi } from "../../shared/api/context";
import { Trouble } from "../../shared/api/problem";
import { dialWebSocket } from "../session";
import { type Pairing, registerPairing } from "./api/register-pairing";
import { pair } from "./model/pair";

export type PairingState =
  | { step: "minting" }
  | { step: "waiting"; pairing: Pairing; note: string }
  | { step: "paired" }
  | { step: "failed"; error: unknown };

const AGAIN_MS = 2000;

export function usePairing(runtime: Runtime): { state: PairingState; again: () => void } {
  const { transport } = useApi();
  const queries = useQueryClient();
  const [state, setState] = useState<PairingState>({ step: "minting" });
  const [round, setRound] = useState(0);

  useEffect(() => {
    const left = new AbortController();
    const tell = (next: PairingState): void => {
      if (!left.signal.aborted) setState(next);
    };
    const work = async (): Promise<void> => {
      const pairing = await registerPairing(transport, runtime);
      tell({ step: "waiting", pairing, note: "" });
      while (!left.signal.aborted) {
        try {
          await pair(transport, dialWebSocket, pairing);
          await queries.invalidateQueries({ queryKey: [runtime.workspaceId, "runtimes"] });
          tell({ step: "paired" });
          return;
        } catch (error) {
          if (!(error instanceof Trouble) || error.reason !== ErrorReason.UNSPECIFIED) throw error;
          // Not up yet, most likely: the person is still pasting the command.
          tell({ step: "waiting", pairing, note: error.message });
        }
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    };
    // A round that React begins and drops at once mints nothing.
    const start = setTimeout(() => {
      work().catch((error: unknown) => {
        tell({ step: "failed", error });
      });
    }, 0);
    return () => {
      clearTimeout(start);
      left.abort();
    };
  }, [transport, queries, runtime, round]);

  return {
    state,
    again: () => {
      setState({ step: "minting" });
      setRound(round + 1);
    },
  };
}
