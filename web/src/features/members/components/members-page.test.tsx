import { screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { type Member, MemberRole, MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { renderPage } from "../../../testing/render";
import { memoryTransport } from "../../../testing/transport";
import { ApiKeysPage } from "../../api-keys";
import { MembersPage } from "./members-page";

function as(role: MemberRole) {
  const members = [{ userId: "me", email: "me@example.org", role, etag: "1" } as Member];
  return memoryTransport((router) => {
    router.service(MemberService, { listMembers: () => ({ members }), listApiKeys: () => ({ apiKeys: [] }) });
    router.service(SignInService, { getCurrentUser: () => ({ user: { id: "me" } }) });
  });
}

const SAID = "Your role here is viewer: this is for owners and editors.";

test("who may not manage members reads them, and is told why not before a click", async () => {
  renderPage(<MembersPage workspaceId="w" />, as(MemberRole.VIEWER));
  expect(await screen.findByText(SAID)).toBeTruthy();
  for (const control of [
    screen.getByLabelText("Role of me@example.org"),
    screen.getByRole("button", { name: "Remove me@example.org" }),
    screen.getByRole("button", { name: "Add" }),
  ]) {
    expect([control.matches(":disabled"), control.title]).toEqual([true, SAID]);
  }
});

test("who may does", async () => {
  renderPage(<MembersPage workspaceId="w" />, as(MemberRole.EDITOR));
  expect((await screen.findByRole("button", { name: "Add" })).matches(":disabled")).toBe(false);
});

test("API keys are not asked for in vain", async () => {
  renderPage(<ApiKeysPage workspaceId="w" />, as(MemberRole.VIEWER));
  expect(await screen.findByText(SAID)).toBeTruthy();
  expect(screen.getByRole("button", { name: "New API key" }).title).toBe(SAID);
});
