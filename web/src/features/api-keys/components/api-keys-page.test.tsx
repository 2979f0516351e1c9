import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { type ApiKey, MemberRole, MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { renderPage } from "../../../testing/render";
import { memoryTransport } from "../../../testing/transport";
import { ApiKeysPage } from "./api-keys-page";

const SECRET = "spk1.secret";

function service(keys: Partial<ApiKey>[]) {
  const revokeApiKey = vi.fn((_request: { apiKeyId: string }) => ({}));
  const createApiKey = vi.fn(() => {
    keys.push({ id: "new", name: "CI", role: MemberRole.AGENT });
    return { apiKey: keys.at(-1) as ApiKey, secret: SECRET };
  });
  const transport = memoryTransport((router) => {
    router.service(MemberService, {
      listApiKeys: () => ({ apiKeys: keys as ApiKey[] }),
      listMembers: () => ({ members: [] }),
      createApiKey,
      revokeApiKey,
    });
  });
  return { transport, createApiKey, revokeApiKey };
}

test("a key's secret is shown once and is gone with its dialog", async () => {
  const { transport, createApiKey } = service([]);
  renderPage(<ApiKeysPage workspaceId="w" />, transport);
  await userEvent.click(await screen.findByRole("button", { name: "New API key" }));
  await userEvent.type(screen.getByLabelText("Name"), "CI");
  await userEvent.dblClick(screen.getByRole("button", { name: "Create" }));
  expect(await screen.findByText(SECRET)).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "I have copied it" }));
  expect(await screen.findByText("CI")).toBeTruthy();
  expect(screen.queryByText(SECRET)).toBeNull();
  expect(createApiKey).toHaveBeenCalledOnce();
});

test("revoking asks first", async () => {
  const { transport, revokeApiKey } = service([{ id: "k", name: "Old", role: MemberRole.VIEWER }]);
  renderPage(<ApiKeysPage workspaceId="w" />, transport);
  await userEvent.click(await screen.findByRole("button", { name: "Revoke Old" }));
  expect(revokeApiKey).not.toHaveBeenCalled();
  await userEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Revoke" }));
  await waitFor(() => {
    expect(revokeApiKey.mock.calls.map(([request]) => request.apiKeyId)).toEqual(["k"]);
  });
});

test("a key that is over or revoked says so, and a revoked one is not revoked again", async () => {
  const keys = [
    { id: "a", name: "Over", expiresAtMs: 1n },
    { id: "b", name: "Gone", revoked: true },
  ];
  renderPage(<ApiKeysPage workspaceId="w" />, service(keys).transport);
  expect(await screen.findByText("Expired")).toBeTruthy();
  expect(screen.getByText("Revoked")).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Revoke Gone" })).toBeNull();
});
