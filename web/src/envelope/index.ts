/**
 * What the browser trusts: signatures, roots, enrolment, pairing, the output chain, the log's proofs. docs/protocol.md is the contract;
 * the Python half is spin_envelope, and both are tested with the vectors in envelope/vectors.
 *
 * - No I/O, no clock, no storage: times are arguments, keys are kept by the caller.
 * - Whatever comes from outside is refused by one exception, `Refused`.
 * - The browser never opens anything that is sealed. Every primitive is WebCrypto's.
 */
export { OutputChain } from "./chain";
export { fingerprint, keyId, pae, sealedDigest, signedDigest } from "./digests";
export { type EnrolledRuntime, verifyEnrolment } from "./enrolment";
export { type ExpectedHello, verifyHello } from "./hello";
export { generateSessionKeys, type SigningKey, signingKey, VerifyKey } from "./keys";
export { leafHash, verifyConsistency, verifyInclusion } from "./merkle";
export { type Checkpoint, openNote, originOf, unverifiedNote } from "./note";
export { mintToken, pairingKey, type PairingToken, parseToken, TokenInvalid } from "./pairing";
export { Refused, RootExpired } from "./refused";
export { TrustedRoot } from "./root";
export { sign, unverified, type Verified, verify } from "./signing";
