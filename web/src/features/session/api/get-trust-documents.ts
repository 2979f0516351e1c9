import { create } from "@bufbuild/protobuf";
import { type Transport, createClient } from "@connectrpc/connect";
import { EnrolmentService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { type TrustDocuments, TrustDocumentsSchema } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { listRootDocuments } from "../../../shared/trust/root";
import type { SessionIdentity } from "../model/calls";

/** What the runtime needs to go on trusting: all root documents and a fresh trust state. */
export async function getTrustDocuments(
  transport: Transport,
  { workspaceId, runtimeId }: SessionIdentity,
): Promise<TrustDocuments> {
  const [rootDocuments, { trustState }] = await Promise.all([
    listRootDocuments(transport),
    createClient(EnrolmentService, transport).getTrustState({ workspaceId, runtimeId }),
  ]);
  return create(TrustDocumentsSchema, { rootDocuments, trustState });
}
