/** This browser's session key: made once, kept in IndexedDB, and not extractable, so that nothing can carry it elsewhere. */
import { type SigningKey, generateSessionKeys, signingKey } from "../../envelope";
import { Trouble } from "../api/problem";
import { kept } from "../kept";

const KEY = "session-key";

let known: Promise<SigningKey> | undefined;

export function sessionKey(): Promise<SigningKey> {
  known ??= load().catch((error: unknown) => {
    known = undefined;
    throw error;
  });
  return known;
}

async function load(): Promise<SigningKey> {
  const stored = (await kept.get(KEY)) as CryptoKeyPair | undefined;
  if (stored) return signingKey(stored);
  const pair = await generated();
  await kept.put(KEY, pair);
  return signingKey(pair);
}

async function generated(): Promise<CryptoKeyPair> {
  try {
    return await generateSessionKeys();
  } catch {
    throw new Trouble("This browser cannot sign with Ed25519.", "Use a current Chromium, Firefox or Safari.");
  }
}
