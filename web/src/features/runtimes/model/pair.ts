/** Carries the runtime's enrolment: its request to auth, the grant back. docs/protocol.md, section 3. */
import { create } from "@bufbuild/protobuf";
import { type Transport, createClient } from "@connectrpc/connect";
import { EnrolmentService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { type RuntimeFrame, PairingFinishSchema, PairingStartSchema } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { Trouble } from "../../../shared/api/problem";
import { sameBytes } from "../../../shared/bytes";
import { type Dial, FrameSocket, socketUrl } from "../../session";
import type { Pairing } from "../api/register-pairing";

const ANSWER_MS = 20_000;

/** Throws Trouble while the runtime is not up yet: try again. */
export async function pair(transport: Transport, dial: Dial, { runtime, rootVersion }: Pairing): Promise<void> {
  const socket = new FrameSocket(dial, socketUrl(runtime.url));
  try {
    await socket.opened;
    const client = createClient(EnrolmentService, transport);
    socket.send({ case: "pairingStart", value: create(PairingStartSchema) });
    const enrolRequest = await answered(socket, "enrolRequest");
    const { workspaceId, id: runtimeId } = runtime;
    const { enrolGrant, fingerprint } = await client.enrolRuntime({ workspaceId, runtimeId, enrolRequest });
    const { rootDocuments } = await client.listRootDocuments({ afterVersion: rootVersion - 1n, pageSize: 100 });
    socket.send({ case: "pairingFinish", value: create(PairingFinishSchema, { enrolGrant, rootDocuments }) });
    const paired = await answered(socket, "paired");
    if (!sameBytes(paired.fingerprint, fingerprint)) {
      throw new Trouble("The runtime and SPIN name different fingerprints.", "Remove the runtime and add it again.");
    }
  } finally {
    socket.close();
  }
}

type Answers = {
  [K in NonNullable<RuntimeFrame["body"]["case"]>]: Extract<RuntimeFrame["body"], { case: K }>["value"];
};

async function answered<K extends keyof Answers>(socket: FrameSocket, wanted: K): Promise<Answers[K]> {
  const { body } = await socket.next(ANSWER_MS);
  if (body.case === wanted) return body.value as Answers[K];
  if (body.case === "error") throw new Trouble(body.value.message || "The runtime refused.", "", body.value.reason);
  throw new Trouble("The runtime answered with something that pairing does not have.", "Check its version.");
}
