import { create } from "@bufbuild/protobuf";
import { type Transport, createClient } from "@connectrpc/connect";
import { EnrolmentService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { TrustDocumentsSchema } from "../../../gen/spinapis/runtime/v1/frames_pb";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { problemOf } from "../../../shared/api/problem";
import { listRootDocuments } from "../../../shared/trust/root";
import { dialWebSocket } from "../../session";
import { tellRemoved } from "../model/tell-removed";

export interface Revoked {
  runtime: Runtime;
  /** How it stands: never trusted, told and stopped, or not reached. */
  how: "untrusted" | "told" | "unreached";
  /** How long one that was not reached may go on; a time that is over means that it has stopped. */
  runsUntilMs: number;
}

const NO_TRUST = new Set([ErrorReason.NOT_FOUND, ErrorReason.NOT_PAIRED]);

/** Takes the runtime's trust away and tells it so. Before its record is deleted: auth signs for records that are there. */
export async function revokeRuntime(transport: Transport, workspaceId: string, runtime: Runtime): Promise<Revoked> {
  const client = createClient(EnrolmentService, transport);
  const named = { workspaceId, runtimeId: runtime.id };
  try {
    await client.revokeRuntime(named);
  } catch (error) {
    // One that was never enrolled has no trust to take away.
    if (!NO_TRUST.has(problemOf(error).reason)) throw error;
    return { runtime, how: "untrusted", runsUntilMs: 0 };
  }
  const { runsUntilMs } = await client.getRuntimeTrust(named);
  const [rootDocuments, { trustState }] = await Promise.all([
    listRootDocuments(transport),
    client.getTrustState(named),
  ]);
  const trust = create(TrustDocumentsSchema, { rootDocuments, trustState });
  const told = await tellRemoved(dialWebSocket, runtime.url, trust);
  return { runtime, how: told ? "told" : "unreached", runsUntilMs: Number(runsUntilMs) };
}
