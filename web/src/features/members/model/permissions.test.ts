import { expect, test } from "vitest";
import { MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { refusalOf } from "./permissions";

test.each([
  [MemberRole.VIEWER, "run", "Your role here is viewer: this is for owners, editors and agents."],
  [MemberRole.AGENT, "run", undefined],
  [MemberRole.AUDITOR, "connection.manage", "Your role here is auditor: this is for owners and editors."],
  [MemberRole.EDITOR, "runtime.confirm", "Your role here is editor: this is for owners."],
  [MemberRole.OWNER, "runtime.confirm", undefined],
] as const)("role %i and %s", (role, permission, refusal) => {
  expect(refusalOf(role, permission)).toBe(refusal);
});

test("who is no member, such as an organisation's admin, is left to the services", () => {
  expect(refusalOf(undefined, "connection.manage")).toBeUndefined();
});
