/** What a live session asks of the control plane; tests answer from memory. */
import type { CellDefinition } from "../../../gen/spinapis/compiler/v1/compiler_pb";
import type { RunNonce } from "../../../gen/spinapis/envelope/v1/run_pb";
import type { LogProof, Output, TrustDocuments } from "../../../gen/spinapis/runtime/v1/frames_pb";
import type { Attachment, Credentials, HelloFacts } from "./attach";

export interface SessionIdentity {
  workspaceId: string;
  notebookId: string;
  sessionId: string;
  runtimeId: string;
  runtimeUrl: string;
  /** The workspace that the runtime is enrolled in: a parent's, for an inherited one. */
  runtimeWorkspaceId: string;
}

export interface CompileOrder {
  cellId: string;
  cell: Pick<CellDefinition, "cellType" | "source" | "fieldsJson">;
  kernelEpoch: bigint;
  kernelLanguage: string;
  stopOnError: boolean;
  /** Of the credentials that the runtime has, as far as this page knows: approvals are not used up for a program that it would refuse. */
  bundleVersion: bigint;
  /** W3C trace context: one trace from the click to the kernel. */
  traceparent: string;
}

export interface CompiledRun {
  sealed: Uint8Array;
  ciphertextDigest: Uint8Array;
}

export interface CredentialBundle {
  /** undefined when the runtime has the newest one, or there are no connections. */
  sealed: Uint8Array | undefined;
  bundleVersion: bigint;
}

/** How many outputs of each run the log has already. */
export type StoredFrames = Readonly<Record<string, number>>;

export interface SessionCalls {
  credentials(session: SessionIdentity): Promise<Credentials>;
  trustDocuments(session: SessionIdentity): Promise<TrustDocuments>;
  /** The verified proof for the runtime; undefined where it has seen no log yet. Throws FatalTrouble for a log that was rewritten. */
  logProof(session: SessionIdentity, hello: HelloFacts): Promise<LogProof | undefined>;
  compile(session: SessionIdentity, attachment: Attachment, order: CompileOrder): Promise<CompiledRun>;
  credentialBundle(session: SessionIdentity, attachment: Attachment): Promise<CredentialBundle>;
  /** The log's signed acknowledgement. */
  uploadReceipts(session: SessionIdentity, receipts: Uint8Array[]): Promise<Uint8Array>;
  uploadOutputs(session: SessionIdentity, nonce: RunNonce, outputs: Output[]): Promise<void>;
  storedFrames(session: SessionIdentity): Promise<StoredFrames>;
}
