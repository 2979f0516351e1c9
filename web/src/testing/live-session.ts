/** A live session against a runtime and a control plane in memory. */
import { create } from "@bufbuild/protobuf";
import type { SessionCalls } from "../features/session/model/calls";
import { LiveSession } from "../features/session/model/live-session";
import type { CellOrder } from "../features/session/model/submissions";
import { TrustDocumentsSchema } from "../gen/spinapis/runtime/v1/frames_pb";
import type { FakeRuntime } from "./fake-runtime";

const IDENTITY = {
  workspaceId: "w",
  notebookId: "n",
  sessionId: "s",
  runtimeId: "r",
  runtimeUrl: "http://localhost:8888",
  runtimeWorkspaceId: "w",
};
export const ORDER: CellOrder = { cellId: "a", cellType: "python", source: "1", fieldsJson: "", stopOnError: true };

export const credentials: SessionCalls["credentials"] = () =>
  Promise.resolve({
    capability: new Uint8Array(),
    challenge: new Uint8Array(),
    sessionKey: new Uint8Array(),
    trust: create(TrustDocumentsSchema),
    verifyHello: (data) =>
      Promise.resolve({ data, digest: data, bootId: data, bundleVersion: 0n, homeId: data, checkpoint: data }),
    authenticate: () => Promise.resolve(new Uint8Array()),
  });

/** Not started yet; `calls` says what the control plane answers other than that all is well. */
export function liveSession(runtime: FakeRuntime, calls: Partial<SessionCalls> = {}): LiveSession {
  let compiled = 0;
  return new LiveSession({
    identity: IDENTITY,
    kernelName: "",
    dial: runtime.dial,
    schedule: (act) => {
      act();
    },
    pause: () => new Promise((resolve) => setTimeout(resolve, 5)),
    calls: {
      credentials,
      trustDocuments: () => Promise.resolve(create(TrustDocumentsSchema)),
      logProof: () => Promise.resolve(undefined),
      compile: () => {
        compiled += 1;
        return Promise.resolve({ sealed: Uint8Array.of(compiled), ciphertextDigest: Uint8Array.of(compiled) });
      },
      credentialBundle: () => Promise.resolve({ sealed: undefined, bundleVersion: 0n }),
      uploadReceipts: () => Promise.resolve(Uint8Array.of(1)),
      uploadOutputs: () => Promise.resolve(),
      storedFrames: () => Promise.resolve({}),
      ...calls,
    },
  });
}
