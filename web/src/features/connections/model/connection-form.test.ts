import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { ConnectionKindSchema, ConnectionLevel, ConnectionSchema } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import type { Problem } from "../../../shared/api/problem";
import {
  approvalOf,
  dayOf,
  expiryOf,
  faultOf,
  formOf,
  hostOf,
  lastUsed,
  newForm,
  toggled,
  withKind,
  words,
} from "./connection-form";

const rest = create(ConnectionKindSchema, { name: "rest", operations: ["rest.request"] });
const queue = create(ConnectionKindSchema, { name: "queue", operations: ["queue.get", "queue.put"] });

test("another kind forgets the fields of the first, and its secret", () => {
  const form = {
    ...newForm([rest, queue]),
    name: "n",
    configJson: '{"base_url":"x"}',
    credentialJson: '{"token":"t"}',
  };
  expect(withKind(form, queue)).toMatchObject({
    name: "n",
    kind: "queue",
    configJson: "",
    credentialJson: "",
    operations: ["queue.get", "queue.put"],
  });
});

test("a connection's form never holds a credential", () => {
  const connection = create(ConnectionSchema, {
    name: "n",
    kind: "rest",
    credentialFields: ["token"],
    allowedHosts: ["a", "b:1"],
  });
  expect(formOf(connection)).toMatchObject({ credentialJson: "", hosts: "a, b:1" });
  expect(words("a, b:1")).toEqual(["a", "b:1"]);
});

test.each([
  ['{"base_url":"https://api.internal:8443/v1"}', "api.internal:8443"],
  ['{"base_url":"http://[::1]:8000"}', "[::1]:8000"],
  ['{"base_url":"https://"}', ""],
  ['{"auth":"none"}', ""],
  ["", ""],
])("the host of %s is %s", (configJson, host) => {
  expect(hostOf(configJson)).toBe(host);
});

test("a complaint is found by its field, an element's by its list", () => {
  const violations = [
    { field: "config_json.base_url", description: "An address." },
    { field: "allowed_hosts[1]", description: "A host." },
  ];
  const problem = { violations } as unknown as Problem;
  expect(faultOf(problem, "config_json.base_url")).toBe("An address.");
  expect(faultOf(problem, "allowed_hosts")).toBe("A host.");
  expect(faultOf(problem, "name")).toBeUndefined();
  expect(faultOf(undefined, "name")).toBeUndefined();
});

test("a connection's guards, grants and expiry come into the form and out of it again", () => {
  const grant = { level: ConnectionLevel.USE, role: MemberRole.AGENT, userId: "" };
  const form = formOf(
    create(ConnectionSchema, {
      allowedOperations: ["queue.get", "queue.put"],
      approvalOperations: ["queue.put"],
      grants: [grant],
      expiresAtMs: expiryOf("2027-01-31"),
    }),
  );
  expect(form).toMatchObject({ approval: ["queue.put"], grants: [grant], expiresOn: "2027-01-31" });
  expect(approvalOf({ ...form, operations: ["queue.get"] })).toEqual([]);
  expect(toggled(form.grants, { ...grant })).toEqual([]);
  expect(toggled([], grant)).toEqual([grant]);
});

test.each([
  [undefined, undefined],
  [0n, "never used"],
  [1_000_000_000_000n, "used today"],
  [1_000_000_000_000n - 100_000_000n, "used yesterday"],
  [1_000_000_000_000n - 300_000_000n, "used 3 days ago"],
  [1_000_000_500_000n, "used today"],
])("last used at %s is told as %s", (at, told) => {
  expect(lastUsed(at, 1_000_000_000_000)).toBe(told);
});

test("references and exposure come into the form, and go with another kind", () => {
  const references = '{"token":{"manager":"vault","path":"kv/app"}}';
  const form = formOf(create(ConnectionSchema, { kind: "rest", referencesJson: references, exposable: true }));
  expect(form).toMatchObject({ referencesJson: references, exposable: true, credentialJson: "" });
  expect(withKind(form, queue).referencesJson).toBe("");
  expect(newForm([rest]).exposable).toBe(false);
});

test("no date is never", () => {
  expect(expiryOf("")).toBe(0n);
  expect(dayOf(0n)).toBe("");
});
