/** A runtime's enrolment, fetched and verified by this page itself. */
import { type Transport, createClient } from "@connectrpc/connect";
import { type EnrolledRuntime, Refused, unverified, verifyEnrolment } from "../../envelope";
import { EnrolmentService } from "../../gen/spinapis/auth/v1/trust_pb";
import { EnrolGrantSchema } from "../../gen/spinapis/envelope/v1/enrol_pb";
import { RuntimeStatus } from "../../gen/spinapis/envelope/v1/trust_pb";
import { fromHex, toHex } from "../bytes";
import { Trouble } from "../api/problem";
import type { Lasting } from "./lasting";
import { currentRoot } from "./root";

export type RuntimeTrust =
  | { status: "unpaired" | "revoked" }
  | {
      status: "paired" | "confirmed";
      enrolled: EnrolledRuntime;
      /** Of the newest trust state that was made for it; whether it got that is not known here. */
      lasting: Lasting;
    };

/** `owners` are the workspaces that the runtime may be enrolled in: its own, and for an inherited one the parent's. */
export async function getRuntimeTrust(
  transport: Transport,
  workspaceId: string,
  runtimeId: string,
  owners: readonly string[] = [workspaceId],
): Promise<RuntimeTrust> {
  const trust = await createClient(EnrolmentService, transport).getRuntimeTrust({ workspaceId, runtimeId });
  switch (trust.status) {
    case RuntimeStatus.UNSPECIFIED:
      return { status: "unpaired" };
    case RuntimeStatus.REVOKED:
      return { status: "revoked" };
    case RuntimeStatus.PAIRED:
    case RuntimeStatus.CONFIRMED: {
      const { root } = await currentRoot(transport);
      const enrolled = await verified(root, trust, runtimeId, owners);
      const lasting = { expiresAtMs: Number(trust.trustExpiresAtMs), runsUntilMs: Number(trust.runsUntilMs) };
      return { status: enrolled.confirmed ? "confirmed" : "paired", enrolled, lasting };
    }
  }
}

async function verified(
  root: Parameters<typeof verifyEnrolment>[0],
  trust: { enrolGrant: Uint8Array; confirmation: Uint8Array },
  runtimeId: string,
  owners: readonly string[],
): Promise<EnrolledRuntime> {
  try {
    const claimed = toHex(unverified(trust.enrolGrant, EnrolGrantSchema).workspaceId);
    if (!owners.includes(claimed))
      throw new Refused("an enrolment in a workspace that does not share its runtimes with this one");
    const ids = { workspaceId: fromHex(claimed), runtimeId: fromHex(runtimeId) };
    return await verifyEnrolment(root, trust.enrolGrant, trust.confirmation, ids, Date.now());
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new Trouble("The runtime’s enrolment does not verify.", "Remove the runtime and add it again.");
  }
}
