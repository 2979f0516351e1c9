import { create } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  type SigningKey,
  generateSessionKeys,
  keyId,
  sign,
  signedDigest,
  signingKey,
  unverified,
} from "../../../envelope";
import { EnrolmentService, GrantService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { type Hello, ClientAuthSchema, HelloSchema } from "../../../gen/spinapis/envelope/v1/attach_pb";
import { EnrolGrantSchema, RuntimeConfirmationSchema } from "../../../gen/spinapis/envelope/v1/enrol_pb";
import { KeyAlgorithm } from "../../../gen/spinapis/envelope/v1/signed_pb";
import { Role, RootDocumentSchema, RuntimeStatus } from "../../../gen/spinapis/envelope/v1/trust_pb";
import { randomBytes, toHex } from "../../../shared/bytes";
import { kept } from "../../../shared/kept";
import { memoryTransport } from "../../../testing/transport";
import type { Credentials } from "../model/attach";
import type { SessionIdentity } from "../model/calls";
import { getCredentials } from "./get-credentials";

const ORIGIN = "https://spin.example";
const newKey = async (): Promise<SigningKey> => signingKey(await generateSessionKeys());

/** An installation with a root, auth's key and one enrolled runtime. */
class Installation {
  workspaceId = randomBytes(16);
  runtimeId = randomBytes(16);
  sessionId = randomBytes(16);
  challenge = randomBytes(64);
  nonceB = randomBytes(32);
  root!: SigningKey;
  auth!: SigningKey;
  identity!: SigningKey;
  status = RuntimeStatus.CONFIRMED;

  static async make(): Promise<Installation> {
    const made = new Installation();
    [made.root, made.auth, made.identity] = await Promise.all([newKey(), newKey(), newKey()]);
    return made;
  }

  async rootDocument(): Promise<Uint8Array> {
    const keys = [this.root, this.auth].map(({ publicKey }) => ({ algorithm: KeyAlgorithm.ED25519, publicKey }));
    const idOf = (key: SigningKey) => keyId(KeyAlgorithm.ED25519, key.publicKey);
    const roles = [
      { role: Role.ROOT, keyIds: [await idOf(this.root)], threshold: 1 },
      { role: Role.AUTH, keyIds: [await idOf(this.auth)], threshold: 1 },
    ];
    const expiresAtMs = BigInt(Date.now() + 86_400_000);
    return sign(RootDocumentSchema, create(RootDocumentSchema, { version: 1n, expiresAtMs, keys, roles }), this.root);
  }

  async trust(signer = this.auth) {
    const { workspaceId, runtimeId } = this;
    const identityKey = this.identity.publicKey;
    const enrolGrant = await sign(
      EnrolGrantSchema,
      create(EnrolGrantSchema, { workspaceId, runtimeId, identityKey }),
      signer,
    );
    const grantDigest = await signedDigest(enrolGrant);
    const said = create(RuntimeConfirmationSchema, { workspaceId, runtimeId, identityKey, grantDigest });
    const confirmation =
      this.status === RuntimeStatus.CONFIRMED ? await sign(RuntimeConfirmationSchema, said, signer) : new Uint8Array();
    return { status: this.status, enrolGrant, confirmation };
  }

  async hello(change: Partial<Hello> = {}, signer = this.identity): Promise<Uint8Array> {
    const { workspaceId, runtimeId, sessionId, nonceB } = this;
    const challengeDigest = await signedDigest(await this.signedChallenge());
    const said = {
      workspaceId,
      runtimeId,
      sessionId,
      nonceB,
      challengeDigest,
      origin: ORIGIN,
      bootId: randomBytes(16),
    };
    return sign(HelloSchema, create(HelloSchema, { ...said, ...(change as object) }), signer);
  }

  signedChallenge(): Promise<Uint8Array> {
    // What the page gets is opaque to it: any signed message stands for a challenge.
    this.#challenge ??= sign(HelloSchema, create(HelloSchema, { nonceB: this.challenge }), this.auth);
    return this.#challenge;
  }
  #challenge: Promise<Uint8Array> | undefined;

  credentials(trust = () => this.trust()): Promise<Credentials> {
    const identity: SessionIdentity = {
      workspaceId: toHex(this.workspaceId),
      runtimeWorkspaceId: toHex(this.workspaceId),
      notebookId: toHex(randomBytes(16)),
      sessionId: toHex(this.sessionId),
      runtimeId: toHex(this.runtimeId),
      runtimeUrl: "https://runtime.example:8888",
    };
    const transport = memoryTransport((router) => {
      router.service(GrantService, {
        issueCapability: async () => ({ capability: randomBytes(8), challenge: await this.signedChallenge() }),
      });
      router.service(EnrolmentService, {
        listRootDocuments: async () => ({ rootDocuments: [await this.rootDocument()] }),
        getRuntimeTrust: trust,
        getTrustState: () => ({ trustState: randomBytes(8) }),
      });
    });
    return getCredentials(transport, identity);
  }
}

describe("attaching to the enrolled runtime and no other", () => {
  let spin: Installation;
  beforeEach(async () => {
    vi.stubGlobal("window", { location: { origin: ORIGIN } });
    await kept.delete("root-digest");
    spin = await Installation.make();
  });

  test("its Hello is believed and answered with this browser's key", async () => {
    const credentials = await spin.credentials();
    const hello = await credentials.verifyHello(await spin.hello(), spin.nonceB);
    const auth = unverified(await credentials.authenticate(hello), ClientAuthSchema);
    expect([auth.origin, auth.helloDigest]).toEqual([ORIGIN, hello.digest]);
  });

  test("a Hello by another key is refused: someone else answers at the address", async () => {
    const credentials = await spin.credentials();
    await expect(credentials.verifyHello(await spin.hello({}, await newKey()), spin.nonceB)).rejects.toThrow(
      "is not the runtime",
    );
  });

  test.each([
    ["of another session", { sessionId: randomBytes(16) }],
    ["for another nonce", { nonceB: randomBytes(32) }],
    ["to an older challenge", { challengeDigest: randomBytes(32) }],
    ["for another origin", { origin: "https://spin.example.evil.com" }],
    ["of another runtime", { runtimeId: randomBytes(16) }],
  ] as const)("a Hello %s is refused", async (_name, change) => {
    const credentials = await spin.credentials();
    await expect(credentials.verifyHello(await spin.hello(change), spin.nonceB)).rejects.toThrow("is not the runtime");
  });

  test("an enrolment that auth did not sign is refused", async () => {
    const stranger = await newKey();
    await expect(spin.credentials(() => spin.trust(stranger))).rejects.toThrow("does not verify");
  });

  test("a runtime that nobody confirmed is not attached to", async () => {
    spin.status = RuntimeStatus.PAIRED;
    await expect(spin.credentials()).rejects.toThrow("not confirmed");
  });

  test("another installation's root is refused by a browser that knows this one", async () => {
    await spin.credentials();
    const other = await Installation.make();
    await expect(other.credentials()).rejects.toThrow("not the ones that this browser knows");
  });
});
