/** Ed25519 keys in WebCrypto. A public key is validated where it enters; a session's private key cannot be taken out of the browser. */
import { KeyAlgorithm } from "../gen/spinapis/envelope/v1/signed_pb";
import { type Bytes, concat } from "./bytes";
import { checkEd25519 } from "./curve25519";
import { keyId } from "./digests";

const ED25519 = { name: "Ed25519" };

export interface SigningKey {
  readonly publicKey: Bytes;
  readonly keyId: Bytes;
  sign(data: Uint8Array): Promise<Bytes>;
}

export class VerifyKey {
  private constructor(
    readonly publicKey: Bytes,
    readonly keyId: Bytes,
    private readonly key: CryptoKey,
  ) {}

  /** Refuses a key that is not canonical, of low order or no point. */
  static async of(publicKey: Uint8Array): Promise<VerifyKey> {
    checkEd25519(publicKey);
    const raw = concat(publicKey);
    const key = await crypto.subtle.importKey("raw", raw, ED25519, true, ["verify"]);
    return new VerifyKey(raw, await keyId(KeyAlgorithm.ED25519, raw), key);
  }

  async verify(signature: Uint8Array, data: Uint8Array): Promise<boolean> {
    return crypto.subtle.verify(ED25519, this.key, concat(signature), concat(data));
  }
}

/** The client's session key: not extractable, so that it can be kept in IndexedDB and nowhere else. */
export async function generateSessionKeys(): Promise<CryptoKeyPair> {
  return (await crypto.subtle.generateKey(ED25519, false, ["sign", "verify"])) as CryptoKeyPair;
}

export async function signingKey(pair: CryptoKeyPair): Promise<SigningKey> {
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return {
    publicKey,
    keyId: await keyId(KeyAlgorithm.ED25519, publicKey),
    sign: async (data) => new Uint8Array(await crypto.subtle.sign(ED25519, pair.privateKey, concat(data))),
  };
}
