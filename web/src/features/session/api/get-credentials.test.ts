import { create } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { sign, signedDigest, unverified } from "../../../envelope";
import { EnrolmentService, GrantService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { type Hello, ClientAuthSchema, HelloSchema } from "../../../gen/spinapis/envelope/v1/attach_pb";
import { RuntimeStatus } from "../../../gen/spinapis/envelope/v1/trust_pb";
import { randomBytes, toHex } from "../../../shared/bytes";
import { kept } from "../../../shared/kept";
import { Installation, newKey } from "../../../testing/installation";
import { memoryTransport } from "../../../testing/transport";
import type { Credentials } from "../model/attach";
import { getCredentials } from "./get-credentials";

const ORIGIN = "https://spin.example";

/** One attachment to an installation's runtime, with what the runtime answers. */
class Attaching {
  readonly sessionId = randomBytes(16);
  readonly nonceB = randomBytes(32);
  readonly #challenge: Uint8Array;

  private constructor(
    readonly spin: Installation,
    challenge: Uint8Array,
  ) {
    this.#challenge = challenge;
  }

  static async to(spin: Installation): Promise<Attaching> {
    // What the page gets is opaque to it: any signed message stands for a challenge.
    const said = create(HelloSchema, { nonceB: randomBytes(32) });
    return new Attaching(spin, await sign(HelloSchema, said, spin.auth));
  }

  async hello(change: Partial<Hello> = {}, signer = this.spin.identity): Promise<Uint8Array> {
    const { sessionId, nonceB } = this;
    const { workspaceId, runtimeId } = this.spin;
    const challengeDigest = await signedDigest(this.#challenge);
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

  credentials(trust = () => this.spin.trust()): Promise<Credentials> {
    const transport = memoryTransport((router) => {
      router.service(GrantService, {
        issueCapability: () => ({ capability: randomBytes(8), challenge: this.#challenge }),
      });
      router.service(EnrolmentService, {
        listRootDocuments: async () => ({ rootDocuments: [await this.spin.rootDocument()] }),
        getRuntimeTrust: trust,
        getTrustState: () => ({ trustState: randomBytes(8) }),
      });
    });
    const workspaceId = toHex(this.spin.workspaceId);
    return getCredentials(transport, {
      workspaceId,
      runtimeWorkspaceId: workspaceId,
      notebookId: toHex(randomBytes(16)),
      sessionId: toHex(this.sessionId),
      runtimeId: toHex(this.spin.runtimeId),
      runtimeUrl: "https://runtime.example:8888",
    });
  }
}

describe("attaching to the enrolled runtime and no other", () => {
  let page: Attaching;
  beforeEach(async () => {
    vi.stubGlobal("window", { location: { origin: ORIGIN } });
    await kept.delete("root-digest");
    page = await Attaching.to(await Installation.make());
  });

  test("its Hello is believed and answered with this browser's key", async () => {
    const credentials = await page.credentials();
    const hello = await credentials.verifyHello(await page.hello(), page.nonceB);
    const auth = unverified(await credentials.authenticate(hello), ClientAuthSchema);
    expect([auth.origin, auth.helloDigest]).toEqual([ORIGIN, hello.digest]);
  });

  test("a Hello by another key is refused: someone else answers at the address", async () => {
    const credentials = await page.credentials();
    await expect(credentials.verifyHello(await page.hello({}, await newKey()), page.nonceB)).rejects.toThrow(
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
    const credentials = await page.credentials();
    await expect(credentials.verifyHello(await page.hello(change), page.nonceB)).rejects.toThrow("is not the runtime");
  });

  test("an enrolment that auth did not sign is refused", async () => {
    const stranger = await newKey();
    await expect(page.credentials(() => page.spin.trust(stranger))).rejects.toThrow("does not verify");
  });

  test("a runtime that nobody confirmed is not attached to", async () => {
    page.spin.status = RuntimeStatus.PAIRED;
    await expect(page.credentials()).rejects.toThrow("not confirmed");
  });

  test("another installation's root is refused by a browser that knows this one", async () => {
    await page.credentials();
    const other = await Attaching.to(await Installation.make());
    await expect(other.credentials()).rejects.toThrow("not the ones that this browser knows");
  });
});
