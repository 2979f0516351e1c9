/**
 * RootDocument: which keys may speak for which role, and how that changes. docs/protocol.md, section 2.
 *
 * - The first document is trusted by its digest; version N+1 counts when the root thresholds of N and of N+1 signed it.
 * - An expired document still vouches for its successor and verifies nothing else: `nowMs` is left out (0) for steps on the way.
 * - A key belongs to one role.
 */
import type { DescMessage } from "@bufbuild/protobuf";

import { KeyAlgorithm } from "../gen/spinapis/envelope/v1/signed_pb";
import { Role, type RootDocument, RootDocumentSchema } from "../gen/spinapis/envelope/v1/trust_pb";
import { type Bytes, hex, same } from "./bytes";
import { VerifyKey } from "./keys";
import { type Signer, signersOf } from "./payloads";
import { Refused, RootExpired } from "./refused";
import { unverified, type Verified, verify } from "./signing";

const ROLES: Partial<Record<Signer, Role>> = {
  root: Role.ROOT,
  auth: Role.AUTH,
  compiler: Role.COMPILER,
  secrets: Role.SECRETS,
  audit: Role.AUDIT,
};

interface RoleTrust {
  readonly keys: readonly VerifyKey[];
  readonly threshold: number;
}

type Roles = ReadonlyMap<Role, RoleTrust>;

export class TrustedRoot {
  private constructor(
    readonly version: bigint,
    readonly expiresAtMs: bigint,
    readonly digest: Bytes,
    /** The SignedMessage as carried. */
    readonly data: Uint8Array,
    private readonly roles: Roles,
  ) {}

  /** The document with that digest; null for one that the caller holds in safe storage. */
  static async pinned(data: Uint8Array, digest: Uint8Array | null, nowMs = 0): Promise<TrustedRoot> {
    const roles = await rolesOf(unverified(data, RootDocumentSchema));
    const root = await TrustedRoot.signedBy(data, roles, roles);
    if (digest !== null && !same(root.digest, digest)) throw new Refused("a root document other than the pinned one");
    root.checkTime(nowMs);
    return root;
  }

  /** The next version. */
  async updated(data: Uint8Array, nowMs = 0): Promise<TrustedRoot> {
    const document = unverified(data, RootDocumentSchema);
    if (document.version !== this.version + 1n) throw new Refused(`root document ${document.version} after ${this.version}`);
    const root = await TrustedRoot.signedBy(data, this.roles, await rolesOf(document));
    root.checkTime(nowMs);
    return root;
  }

  checkTime(nowMs: number): void {
    if (BigInt(nowMs) >= this.expiresAtMs) throw new RootExpired(`root document ${this.version} has expired`);
  }

  /** The role's keys, current one first, whatever the time. */
  keys(role: Role): readonly VerifyKey[] {
    return roleIn(this.roles, role).keys;
  }

  /** Verifies a message of a role that the root binds. Refused as well when the document has expired. */
  async verify<M extends DescMessage>(data: Uint8Array, schema: M, nowMs: number, revoked?: ReadonlySet<string>): Promise<Verified<M>> {
    this.checkTime(nowMs);
    const [signer] = signersOf(schema);
    const role = signer && ROLES[signer];
    if (role === undefined) throw new Refused(`the root document does not bind the ${signer}`);
    const { keys, threshold } = roleIn(this.roles, role);
    return verify(data, schema, keys, { threshold, revoked });
  }

  /** Demands the root threshold of both generations; `own` is the document's. */
  private static async signedBy(data: Uint8Array, before: Roles, own: Roles): Promise<TrustedRoot> {
    const earlier = roleIn(before, Role.ROOT);
    await verify(data, RootDocumentSchema, earlier.keys, earlier);
    const root = roleIn(own, Role.ROOT);
    const { message, digest } = await verify(data, RootDocumentSchema, root.keys, root);
    return new TrustedRoot(message.version, message.expiresAtMs, digest, data, own);
  }
}

function roleIn(roles: Roles, role: Role): RoleTrust {
  const trust = roles.get(role);
  if (trust === undefined) throw new Refused(`the root document does not list role ${role}`);
  return trust;
}

async function rolesOf(document: RootDocument): Promise<Roles> {
  if (document.version < 1n) throw new Refused("a root document without a version");
  const keys = await keysOf(document);
  const listed = document.roles.flatMap((role) => role.keyIds.map(hex));
  if (listed.length !== keys.size || new Set(listed).size !== keys.size || !listed.every((id) => keys.has(id)))
    throw new Refused("a root document must give each key to exactly one role");
  const roles = new Map(
    document.roles.map(({ role, keyIds, threshold }) => {
      const trusted = keyIds.flatMap((id) => keys.get(hex(id)) ?? []);
      if (threshold < 1 || threshold > trusted.length) throw new Refused("a root document with a threshold that its keys cannot reach");
      return [role, { keys: trusted, threshold }];
    }),
  );
  if (roles.size !== document.roles.length) throw new Refused("a root document must list each role once");
  return roles;
}

async function keysOf(document: RootDocument): Promise<Map<string, VerifyKey>> {
  const keys = new Map<string, VerifyKey>();
  for (const { algorithm, publicKey } of document.keys) {
    if (algorithm !== KeyAlgorithm.ED25519) throw new Refused(`a root document with a key of algorithm ${algorithm}`);
    const key = await VerifyKey.of(publicKey);
    keys.set(hex(key.keyId), key);
  }
  if (keys.size !== document.keys.length) throw new Refused("a root document with a key given twice");
  return keys;
}
