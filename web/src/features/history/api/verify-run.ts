import { useQuery } from "@tanstack/react-query";
import { type Transport, createClient } from "@connectrpc/connect";
import { Refused, leafHash, openNote, originOf, verifyInclusion } from "../../../envelope";
import { type Entry, type Run, LogService } from "../../../gen/spinapis/audit/v1/audit_pb";
import { Role } from "../../../gen/spinapis/envelope/v1/trust_pb";
import { useApi } from "../../../shared/api/context";
import { allPages } from "../../../shared/api/pages";
import { toHex } from "../../../shared/bytes";
import { getRuntimeTrust } from "../../../shared/trust/enrolment";
import { currentRoot } from "../../../shared/trust/root";
import { checkedLeaf } from "../model/leaf";
import { type OutputsVerdict, verifyOutputs } from "./verify-outputs";

/** What this browser found when it checked a run's entries against the log's signed checkpoint. */
export interface Verdict {
  /** Every entry is in the tree that the checkpoint signs, and is about this run. */
  included: boolean;
  fault: string;
  treeSize: number;
  rootHash: string;
  entries: readonly { index: bigint; type: string; timeMs: number }[];
  outputs: OutputsVerdict;
}

export function useRunVerdict(workspaceId: string, run: Run, wanted: boolean) {
  const { transport } = useApi();
  return useQuery({
    queryKey: [workspaceId, "verdict", run.id, run.entryIndexes.length, run.framesStored],
    queryFn: () => verifyRun(transport, workspaceId, run),
    enabled: wanted,
    staleTime: Infinity,
  });
}

/** Of what the services say, nothing is believed but signatures, and what hashes to what was signed. */
export async function verifyRun(transport: Transport, workspaceId: string, run: Run): Promise<Verdict> {
  const log = createClient(LogService, transport);
  const { sessionId, runtimeId } = run;
  const [{ root }, { note }, entries, trust] = await Promise.all([
    currentRoot(transport),
    log.getCheckpoint({ workspaceId, runtimeId }),
    entriesOf(transport, workspaceId, run),
    getRuntimeTrust(transport, workspaceId, runtimeId, [workspaceId, run.logWorkspaceId]),
  ]);
  const nothing: Verdict = {
    included: false,
    fault: "",
    treeSize: 0,
    rootHash: "",
    entries: [],
    outputs: { kind: "unchecked" },
  };
  try {
    if (!("enrolled" in trust))
      return { ...nothing, fault: "The runtime is not enrolled any more: its receipts cannot be checked." };
    const { enrolled } = trust;
    // The log is the one of the workspace that enrolled the runtime, and the enrolment says which that is.
    const checkpoint = await openNote(note, root.keys(Role.AUDIT), originOf(enrolled.grant.workspaceId));
    const seen: Verdict = { ...nothing, treeSize: checkpoint.size, rootHash: toHex(checkpoint.rootHash) };
    if (entries.length === 0) return { ...seen, fault: "The log has no entry about this run." };
    const checked = await Promise.all(
      entries.map(async (entry) => {
        const leaf = await checkedLeaf(entry, run.id);
        const { hashes } = await log.getInclusionProof({
          workspaceId,
          index: entry.index,
          treeSize: BigInt(checkpoint.size),
          sessionId,
        });
        const hash = await leafHash(entry.leaf);
        await verifyInclusion(hash, Number(entry.index), checkpoint.size, hashes, checkpoint.rootHash);
        return { index: entry.index, type: leaf.type, timeMs: Number(leaf.timeMs) };
      }),
    );
    const outputs = await verifyOutputs(transport, workspaceId, run, entries, enrolled.identity);
    return { ...seen, included: true, entries: checked, outputs };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { ...nothing, fault: "An entry does not belong to the log that the checkpoint signs." };
  }
}

async function entriesOf(transport: Transport, workspaceId: string, { id, sessionId }: Run): Promise<Entry[]> {
  const log = createClient(LogService, transport);
  const entries = await allPages(async (pageToken) => {
    const page = await log.listEntries({ workspaceId, sessionId, subject: `run:${id}`, pageToken, pageSize: 100 });
    return { items: page.entries, nextPageToken: page.nextPageToken };
  });
  return entries.toSorted((a, b) => (a.index < b.index ? -1 : 1));
}
