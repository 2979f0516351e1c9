/** The fixed table of who signs what. docs/protocol.md, section 2. All signers of a row must have signed; everything else is refused. */
import type { DescMessage } from "@bufbuild/protobuf";

import { Refused } from "./refused";

export type Signer = "root" | "auth" | "compiler" | "secrets" | "audit" | "runtime identity" | "pairing key" | "client session key";

const SIGNERS: Record<string, readonly Signer[]> = {
  RootDocument: ["root"],
  Challenge: ["auth"],
  CapabilityToken: ["auth"],
  EnrolGrant: ["auth"],
  RuntimeConfirmation: ["auth"],
  RunGrant: ["auth"],
  TrustState: ["auth"],
  Program: ["compiler"],
  CredentialBundle: ["secrets"],
  ReceiptAck: ["audit"],
  Hello: ["runtime identity"],
  Receipt: ["runtime identity"],
  EnrolRequest: ["runtime identity", "pairing key"],
  PairRegistration: ["pairing key"],
  ClientAuth: ["client session key"],
};

export function signersOf(schema: DescMessage): readonly Signer[] {
  const signers = schema.file.proto.package === "spinapis.envelope.v1" ? SIGNERS[schema.name] : undefined;
  if (signers === undefined) throw new Refused(`${schema.name} is no payload`);
  return signers;
}

export function payloadType(schema: DescMessage): string {
  signersOf(schema);
  const kebab = schema.name.replace(/(?!^)[A-Z]/g, "-$&").toLowerCase();
  return `application/vnd.spin.${kebab}.v1+protobuf`;
}
