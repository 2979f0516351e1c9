import { create } from "@bufbuild/protobuf";
import { type Transport, createClient } from "@connectrpc/connect";
import { type EnrolledRuntime, Refused, sign, verifyHello } from "../../../envelope";
import { GrantService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { ClientAuthSchema } from "../../../gen/spinapis/envelope/v1/attach_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { Trouble } from "../../../shared/api/problem";
import { fromHex, sha256 } from "../../../shared/bytes";
import { getRuntimeTrust } from "../../../shared/trust/enrolment";
import { sessionKey } from "../../../shared/trust/session-key";
import type { Credentials } from "../model/attach";
import type { SessionIdentity } from "../model/calls";
import { getTrustDocuments } from "./get-trust-documents";

/** All that one attachment needs: the capability for this browser's key, the challenge, the runtime's enrolled identity. */
export async function getCredentials(transport: Transport, session: SessionIdentity): Promise<Credentials> {
  const { workspaceId, sessionId, notebookId, runtimeId } = session;
  const { origin } = window.location;
  const key = await sessionKey();
  const cnf = await sha256(key.publicKey);
  const client = createClient(GrantService, transport);
  const [{ capability, challenge }, enrolled, trust] = await Promise.all([
    client.issueCapability({ workspaceId, sessionId, notebookId, runtimeId, cnf, origin }),
    confirmedRuntime(transport, session),
    getTrustDocuments(transport, session),
  ]);
  return {
    capability,
    challenge,
    sessionKey: key.publicKey,
    trust,
    verifyHello: async (data, nonceB) => {
      const ids = {
        workspaceId: enrolled.grant.workspaceId,
        runtimeId: fromHex(runtimeId),
        sessionId: fromHex(sessionId),
      };
      try {
        const { message, digest } = await verifyHello(data, enrolled.identity, { ...ids, challenge, nonceB, origin });
        const { bootId, bundleVersion, workspaceId: homeId, checkpoint } = message;
        return { data, digest, bootId, bundleVersion, homeId, checkpoint };
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        throw new Trouble(
          `What answers at ${session.runtimeUrl} is not the runtime that was enrolled.`,
          "Check its address under Runtimes. If the address is right, someone else answers there: do not go on.",
        );
      }
    },
    authenticate: (hello) =>
      sign(ClientAuthSchema, create(ClientAuthSchema, { helloDigest: hello.digest, origin }), key),
  };
}

async function confirmedRuntime(transport: Transport, session: SessionIdentity): Promise<EnrolledRuntime> {
  const owners = [session.workspaceId, session.runtimeWorkspaceId];
  const trust = await getRuntimeTrust(transport, session.workspaceId, session.runtimeId, owners);
  switch (trust.status) {
    case "confirmed":
      return trust.enrolled;
    case "paired":
      throw new Trouble(
        "The runtime is not confirmed yet.",
        "Open Runtimes, compare its fingerprint and confirm it.",
        ErrorReason.RUNTIME_NOT_CONFIRMED,
      );
    case "unpaired":
      throw new Trouble(
        "The runtime is not paired yet.",
        "Open Runtimes and finish adding it.",
        ErrorReason.NOT_PAIRED,
      );
    case "revoked":
      throw new Trouble("The runtime was removed.", "Add it again under Runtimes.", ErrorReason.RUNTIME_REVOKED);
  }
}
