/** An installation with real keys: a root, auth, audit, and one enrolled runtime. */
import { create } from "@bufbuild/protobuf";
import { type SigningKey, generateSessionKeys, keyId, sign, signedDigest, signingKey } from "../envelope";
import { EnrolGrantSchema, RuntimeConfirmationSchema } from "../gen/spinapis/envelope/v1/enrol_pb";
import { KeyAlgorithm } from "../gen/spinapis/envelope/v1/signed_pb";
import { Role, RootDocumentSchema, RuntimeStatus } from "../gen/spinapis/envelope/v1/trust_pb";
import { randomBytes } from "../shared/bytes";

export async function newKey(): Promise<SigningKey> {
  return signingKey(await generateSessionKeys());
}

export class Installation {
  readonly workspaceId = randomBytes(16);
  readonly runtimeId = randomBytes(16);
  status = RuntimeStatus.CONFIRMED;

  private constructor(
    readonly root: SigningKey,
    readonly auth: SigningKey,
    readonly audit: SigningKey,
    readonly identity: SigningKey,
  ) {}

  static async make(): Promise<Installation> {
    return new Installation(await newKey(), await newKey(), await newKey(), await newKey());
  }

  async rootDocument(): Promise<Uint8Array> {
    const bound = [
      { role: Role.ROOT, key: this.root },
      { role: Role.AUTH, key: this.auth },
      { role: Role.AUDIT, key: this.audit },
    ];
    const keys = bound.map(({ key }) => ({ algorithm: KeyAlgorithm.ED25519, publicKey: key.publicKey }));
    const roles = await Promise.all(
      bound.map(async ({ role, key }) => ({
        role,
        keyIds: [await keyId(KeyAlgorithm.ED25519, key.publicKey)],
        threshold: 1,
      })),
    );
    const expiresAtMs = BigInt(Date.now() + 86_400_000);
    return sign(RootDocumentSchema, create(RootDocumentSchema, { version: 1n, expiresAtMs, keys, roles }), this.root);
  }

  async trust(signer = this.auth) {
    const { workspaceId, runtimeId, status } = this;
    const identityKey = this.identity.publicKey;
    const grant = create(EnrolGrantSchema, { workspaceId, runtimeId, identityKey });
    const enrolGrant = await sign(EnrolGrantSchema, grant, signer);
    const grantDigest = await signedDigest(enrolGrant);
    const said = create(RuntimeConfirmationSchema, { workspaceId, runtimeId, identityKey, grantDigest });
    const confirmed = status === RuntimeStatus.CONFIRMED;
    const confirmation = confirmed ? await sign(RuntimeConfirmationSchema, said, signer) : new Uint8Array();
    return { status, enrolGrant, confirmation };
  }
}
