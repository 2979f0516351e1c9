/** The live session's calls, over the page's transport. */
import type { Transport } from "@connectrpc/connect";
import type { SessionCalls } from "../model/calls";
import { compileCell } from "./compile-cell";
import { getCredentials } from "./get-credentials";
import { getTrustDocuments } from "./get-trust-documents";
import { listStoredFrames } from "./list-stored-frames";
import { proveLog } from "./prove-log";
import { syncCredentials } from "./sync-credentials";
import { uploadOutputs } from "./upload-outputs";
import { uploadReceipts } from "./upload-receipts";

export function sessionCalls(transport: Transport): SessionCalls {
  return {
    credentials: (session) => getCredentials(transport, session),
    trustDocuments: (session) => getTrustDocuments(transport, session),
    logProof: (session, hello) => proveLog(transport, session, hello),
    compile: (session, attachment, order) => compileCell(transport, session, attachment, order),
    credentialBundle: (session, attachment) => syncCredentials(transport, session, attachment),
    uploadReceipts: (session, receipts) => uploadReceipts(transport, session, receipts),
    uploadOutputs: (session, nonce, outputs) => uploadOutputs(transport, session, nonce, outputs),
    storedFrames: (session) => listStoredFrames(transport, session),
  };
}
