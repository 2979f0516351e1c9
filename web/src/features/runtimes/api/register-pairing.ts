import { create } from "@bufbuild/protobuf";
import { type Transport, createClient } from "@connectrpc/connect";
import { mintToken, pairingKey, sign } from "../../../envelope";
import { EnrolmentService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { PairRegistrationSchema } from "../../../gen/spinapis/envelope/v1/enrol_pb";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { Trouble } from "../../../shared/api/problem";
import { fromHex, randomBytes } from "../../../shared/bytes";
import { currentRoot } from "../../../shared/trust/root";
import { hostsOf } from "../model/hosts";

export interface Pairing {
  runtime: Runtime;
  /** SPIN_TOKEN: a secret until the runtime is paired. It is shown to the person, and goes nowhere else. */
  token: string;
  /** What the runtime walks from the root in its token. */
  rootVersion: bigint;
  expiresAtMs: number;
}

/** Mints a token for the runtime's record and tells auth its public half. */
export async function registerPairing(transport: Transport, runtime: Runtime): Promise<Pairing> {
  const [{ root }, { user }] = await Promise.all([
    currentRoot(transport),
    createClient(SignInService, transport).getCurrentUser({}),
  ]);
  if (!user) throw new Trouble("SPIN does not know who you are.", "Sign in again.");
  const [workspaceId, pairingId, secret] = [fromHex(runtime.workspaceId), randomBytes(16), randomBytes(32)];
  const key = await pairingKey(secret);
  const registration = create(PairRegistrationSchema, {
    workspaceId,
    pairingId,
    userId: user.id,
    nonce: randomBytes(32),
    runtimeId: fromHex(runtime.id),
    pairingPublicKey: key.publicKey,
  });
  const { expiresAtMs } = await createClient(EnrolmentService, transport).registerPairing({
    workspaceId: runtime.workspaceId,
    registration: await sign(PairRegistrationSchema, registration, key),
    allowedOrigins: [window.location.origin],
    allowedHosts: hostsOf(runtime.url),
  });
  const token = await mintToken({ workspaceId, pairingId, secret, rootDigest: root.digest });
  return { runtime, token, rootVersion: root.version, expiresAtMs: Number(expiresAtMs) };
}
