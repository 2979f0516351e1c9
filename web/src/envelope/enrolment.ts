/** A runtime's enrolment and its confirmation, verified by the client itself. docs/protocol.md, section 3. */
import { type EnrolGrant, EnrolGrantSchema, RuntimeConfirmationSchema } from "../gen/spinapis/envelope/v1/enrol_pb";
import { type Bytes, same } from "./bytes";
import { fingerprint } from "./digests";
import { VerifyKey } from "./keys";
import { Refused } from "./refused";
import type { TrustedRoot } from "./root";

export interface EnrolledRuntime {
  readonly identity: VerifyKey;
  /** Eight groups of eight hexadecimal digits, to compare with the runtime's log. */
  readonly fingerprint: string;
  readonly grant: EnrolGrant;
  readonly grantDigest: Bytes;
  /** A member has compared the fingerprints. */
  readonly confirmed: boolean;
}

export interface RuntimeIds {
  readonly workspaceId: Uint8Array;
  readonly runtimeId: Uint8Array;
}

/** `confirmation` is empty for a runtime that nobody has confirmed yet; one that does not fit the grant is refused. */
export async function verifyEnrolment(
  root: TrustedRoot,
  enrolGrant: Uint8Array,
  confirmation: Uint8Array,
  ids: RuntimeIds,
  nowMs: number,
): Promise<EnrolledRuntime> {
  const { message: grant, digest: grantDigest } = await root.verify(enrolGrant, EnrolGrantSchema, nowMs);
  if (!isOf(grant, ids)) throw new Refused("an enrolment of another workspace or runtime");
  const identity = await VerifyKey.of(grant.identityKey);
  const confirmed = confirmation.length > 0;
  if (confirmed) {
    const { message } = await root.verify(confirmation, RuntimeConfirmationSchema, nowMs);
    if (!isOf(message, ids) || !same(message.identityKey, grant.identityKey) || !same(message.grantDigest, grantDigest))
      throw new Refused("a confirmation of another enrolment");
  }
  return { identity, fingerprint: await fingerprint(identity.publicKey), grant, grantDigest, confirmed };
}

function isOf(document: RuntimeIds, ids: RuntimeIds): boolean {
  return same(document.workspaceId, ids.workspaceId) && same(document.runtimeId, ids.runtimeId);
}
