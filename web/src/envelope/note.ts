/** Opening the log's checkpoint, a signed note. C2SP signed-note and tlog-checkpoint; docs/protocol.md, section 7. */
import { type Bytes, concat, fromBase64, hex, sha256, utf8 } from "./bytes";
import type { VerifyKey } from "./keys";
import { Refused } from "./refused";

const MAX_NOTE = 64 * 1024;
const SIGNATURE_LINE = /^— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/;
const ED25519_TYPE = Uint8Array.of(0x0a, 0x01);

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly rootHash: Bytes;
}

export const originOf = (workspaceId: Uint8Array): string => `spin/${hex(workspaceId)}`;

/** The checkpoint of that origin which one of the keys signed. A bad signature by a known key refuses the note; unknown keys are ignored. */
export async function openNote(note: string, keys: Iterable<VerifyKey>, origin: string): Promise<Checkpoint> {
  const [text, lines] = split(note);
  const known = new Map<string, VerifyKey>();
  for (const key of keys) known.set(await keyHash(origin, key.publicKey), key);
  let signed = false;
  for (const [name, signature] of lines.map(signatureIn)) {
    const key = name === origin ? known.get(hex(signature.slice(0, 4))) : undefined;
    if (key === undefined) continue;
    if (!(await key.verify(signature.slice(4), utf8(text)))) throw new Refused("a note with a bad signature by a known key");
    signed = true;
  }
  if (!signed) throw new Refused("a note without a signature by a known key");
  return checkpointIn(text, origin);
}

/** What a note says, for whoever has it from someone who verified it. */
export function unverifiedNote(note: string, origin: string): Checkpoint {
  const [text] = split(note);
  return checkpointIn(text, origin);
}

function split(note: string): [text: string, signatureLines: string[]] {
  if (note.length > MAX_NOTE) throw new Refused(`a note of ${note.length} characters`);
  if (!note.isWellFormed() || Array.from(note).some((character) => character < " " && character !== "\n")) throw new Refused("a note with control characters");
  const blank = note.lastIndexOf("\n\n");
  if (blank < 0 || !note.endsWith("\n")) throw new Refused("a note without signatures");
  return [note.slice(0, blank + 1), note.slice(blank + 2, -1).split("\n")];
}

function signatureIn(line: string): [name: string, signature: Bytes] {
  const [, name, encoded] = SIGNATURE_LINE.exec(line) ?? [];
  if (name === undefined || encoded === undefined) throw new Refused("a note with a line that is no signature");
  return [name, fromBase64(encoded)];
}

function checkpointIn(text: string, origin: string): Checkpoint {
  const [first, size, root, end, ...more] = text.split("\n");
  if (first !== origin || size === undefined || root === undefined || end !== "" || more.length > 0) throw new Refused("a note that is no checkpoint of this log");
  const rootHash = fromBase64(root);
  if (!/^(0|[1-9][0-9]*)$/.test(size) || !Number.isSafeInteger(Number(size)) || rootHash.length !== 32) throw new Refused("a checkpoint that makes no sense");
  return { origin, size: Number(size), rootHash };
}

async function keyHash(name: string, publicKey: Uint8Array): Promise<string> {
  return hex((await sha256(concat(utf8(name), ED25519_TYPE, publicKey))).slice(0, 4));
}
