/**
 * The log that the platform shows must continue the one that the runtime has seen: a log that was rewritten, or set back, is found out
 * here, because the runtime keeps the newest checkpoint on a machine that the platform does not own. docs/protocol.md, section 7.
 */
import { type Transport, Code, ConnectError, createClient } from "@connectrpc/connect";
import { type Checkpoint, type TrustedRoot, Refused, openNote, originOf, verifyConsistency } from "../../../envelope";
import { type GetConsistencyProofResponse, LogService } from "../../../gen/spinapis/audit/v1/audit_pb";
import type { Hello } from "../../../gen/spinapis/envelope/v1/attach_pb";
import { Role } from "../../../gen/spinapis/envelope/v1/trust_pb";
import { FatalTrouble } from "../model/attach";
import type { SessionIdentity } from "../model/calls";

/** The runtime waits for the page meanwhile, and not for ever. */
const PATIENCE_MS = 5000;
/** How audit says that its log was never as long as the runtime has seen it. */
const NEVER_SO_LONG = new Set([Code.InvalidArgument, Code.OutOfRange]);

/** `hello` was verified. Throws FatalTrouble when the log does not continue; a log that cannot be asked says nothing either way. */
export async function verifyLogContinues(
  transport: Transport,
  root: TrustedRoot,
  session: Pick<SessionIdentity, "workspaceId" | "runtimeId">,
  hello: Pick<Hello, "workspaceId" | "checkpoint">,
): Promise<void> {
  if (hello.checkpoint.length === 0) return;
  const keys = root.keys(Role.AUDIT);
  const origin = originOf(hello.workspaceId);
  try {
    const seen = await openNote(textOf(hello.checkpoint), keys, origin);
    if (seen.size === 0) return;
    const answer = await proofSince(transport, session, seen);
    if (!answer) return;
    const now = await openNote(answer.note, keys, origin);
    await verifyConsistency(seen.size, seen.rootHash, now.size, now.rootHash, answer.hashes);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new FatalTrouble(
      "The platform's audit log does not continue the one that this runtime has seen.",
      "Someone has rewritten the log, or it was restored from a backup: export it, compare, and do not run anything until this is explained.",
    );
  }
}

/** undefined when audit cannot be reached or may not be asked. */
async function proofSince(
  transport: Transport,
  { workspaceId, runtimeId }: Pick<SessionIdentity, "workspaceId" | "runtimeId">,
  { size }: Checkpoint,
): Promise<GetConsistencyProofResponse | undefined> {
  const wanted = { workspaceId, runtimeId, fromSize: BigInt(size), toSize: 0n };
  try {
    return await createClient(LogService, transport).getConsistencyProof(wanted, { timeoutMs: PATIENCE_MS });
  } catch (error) {
    if (NEVER_SO_LONG.has(ConnectError.from(error).code)) throw new Refused("a log that is shorter than it was");
    return undefined;
  }
}

/** What is no UTF-8 becomes something that nobody signed. */
function textOf(note: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(note);
}
