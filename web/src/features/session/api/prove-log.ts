/**
 * The platform proves that its log continues the one that the runtime has seen. The page checks the proof and hands it to the runtime, which
 * checks it as well: a log that was rewritten, forked or set back is found out by either. docs/protocol.md, section 7.
 */
import { create } from "@bufbuild/protobuf";
import { type Transport, Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  type Checkpoint,
  type TrustedRoot,
  Refused,
  openNote,
  originOf,
  unverifiedNote,
  verifyConsistency,
} from "../../../envelope";
import { type GetConsistencyProofResponse, LogService } from "../../../gen/spinapis/audit/v1/audit_pb";
import { Role } from "../../../gen/spinapis/envelope/v1/trust_pb";
import { type LogProof, LogProofSchema } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { currentRoot } from "../../../shared/trust/root";
import { FatalTrouble, type HelloFacts } from "../model/attach";
import type { SessionIdentity } from "../model/calls";

/** Programs wait for the proof, and not for ever. */
const PATIENCE_MS = 5000;
const ADVICE =
  "The log was rewritten, forked or set back. Run nothing until that is explained: export the log and compare it with an export from before.";

/** undefined where the runtime has seen no log yet. Throws FatalTrouble for a log that does not continue the one it has seen. */
export async function proveLog(
  transport: Transport,
  { workspaceId, runtimeId }: Pick<SessionIdentity, "workspaceId" | "runtimeId">,
  hello: Pick<HelloFacts, "homeId" | "checkpoint">,
): Promise<LogProof | undefined> {
  if (hello.checkpoint.length === 0) return undefined;
  const origin = originOf(hello.homeId);
  const held = heldIn(hello.checkpoint, origin);
  const wanted = { workspaceId, runtimeId, fromSize: BigInt(held.size), toSize: 0n };
  const [answer, { root }] = await Promise.all([
    createClient(LogService, transport)
      .getConsistencyProof(wanted, { timeoutMs: PATIENCE_MS })
      .catch((error: unknown) => {
        // How audit says that its log was never of that size.
        if (ConnectError.from(error).code === Code.InvalidArgument) throw contradiction(origin, held.size, "fewer");
        throw error;
      }),
    currentRoot(transport),
  ]);
  return verified(root, origin, held, answer);
}

async function verified(
  root: TrustedRoot,
  origin: string,
  held: Checkpoint,
  { note, hashes }: GetConsistencyProofResponse,
): Promise<LogProof> {
  const now = await refusedAs(
    () => openNote(note, root.keys(Role.AUDIT), origin),
    () =>
      new FatalTrouble(
        `What SPIN shows as the audit log ${origin} is not signed by its audit service.`,
        "Someone stands between you and it, or uses its name: run nothing until that is explained.",
      ),
  );
  await refusedAs(
    () => verifyConsistency(held.size, held.rootHash, now.size, now.rootHash, hashes),
    () => contradiction(origin, held.size, String(now.size)),
  );
  return create(LogProofSchema, { fromSize: BigInt(held.size), note: new TextEncoder().encode(note), hashes });
}

/** The runtime vouches for it by Hello's signature: the key of audit's that signed it may be gone by now. */
function heldIn(note: Uint8Array, origin: string): Checkpoint {
  try {
    return unverifiedNote(new TextDecoder("utf-8", { ignoreBOM: true }).decode(note), origin);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new FatalTrouble(`The checkpoint that the runtime holds is none of the audit log ${origin}.`, ADVICE);
  }
}

async function refusedAs<T>(check: () => Promise<T>, trouble: () => FatalTrouble): Promise<T> {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw trouble();
  }
}

function contradiction(origin: string, before: number, now: string): FatalTrouble {
  const text = `The audit log ${origin} does not continue the one that this runtime has seen: ${before} entries then, ${now} now.`;
  return new FatalTrouble(text, ADVICE);
}
