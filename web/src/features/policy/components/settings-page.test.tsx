import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb";
import { type Member, MemberRole, MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import {
  PolicyService,
  type UpdateWorkspacePolicyRequest,
  WorkspacePolicySchema,
} from "../../../gen/spinapis/auth/v1/policy_pb";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { EgressMode } from "../../../gen/spinapis/envelope/v1/attach_pb";
import { type Workspace, WorkspaceService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { fromHex } from "../../../shared/bytes";
import { renderPage } from "../../../testing/render";
import { memoryTransport } from "../../../testing/transport";
import { SettingsPage } from "./settings-page";

const [HERE, ABOVE] = ["0a".repeat(16), "0b".repeat(16)];
const HOSTS = ["pypi.org:443"];

function policyOf(etag: string, trustGraceMs: bigint) {
  return create(WorkspacePolicySchema, {
    workspaceId: HERE,
    egress: { mode: EgressMode.OPEN },
    effectiveEgress: { mode: EgressMode.ALLOW_LIST, hosts: HOSTS, workspaceIds: [HERE, ABOVE].map(fromHex) },
    trustGraceMs,
    updatedAtMs: 1n,
    updatedBy: "bea",
    etag,
  });
}

function refusal(reason: string, code: Code, field?: string, description = ""): ConnectError {
  const info = { desc: ErrorInfoSchema, value: { reason, domain: "spin" } };
  const bad = { desc: BadRequestSchema, value: { fieldViolations: field ? [{ field, description }] : [] } };
  return new ConnectError(description || "no", code, undefined, [info, bad]);
}

function page(role: MemberRole, answer: (request: UpdateWorkspacePolicyRequest) => void = () => undefined) {
  let policy = policyOf("1", 0n);
  const update = vi.fn((request: UpdateWorkspacePolicyRequest) => {
    answer(request);
    policy = policyOf("2", request.trustGraceMs ?? 0n);
    return { policy };
  });
  const overtake = () => (policy = policyOf("9", 18_000_000n));
  const member = (userId: string, as: MemberRole) =>
    ({ userId, displayName: userId, email: userId, role: as }) as Member;
  const transport = memoryTransport((router) => {
    router.service(PolicyService, { getWorkspacePolicy: () => ({ policy }), updateWorkspacePolicy: update });
    router.service(MemberService, {
      listMembers: () => ({ members: [member("ann", role), member("bea", MemberRole.OWNER)] }),
    });
    router.service(SignInService, { getCurrentUser: () => ({ user: { id: "ann" } }) });
    router.service(WorkspaceService, {
      listWorkspaces: () => ({ workspaces: [{ id: ABOVE, name: "Parent" } as Workspace] }),
    });
  });
  renderPage(<SettingsPage workspaceId={HERE} />, transport);
  return { update, overtake };
}

test("what counts is told with whose choice it is, and what of the own choice does not", async () => {
  page(MemberRole.OWNER);
  expect(await screen.findByText("These hosts alone: pypi.org:443.")).toBeTruthy();
  expect(await screen.findByText(/Inherited from Parent\./)).toBeTruthy();
  expect(screen.getByText(/the workspaces above allow less/)).toBeTruthy();
});

test("an owner changes it with the etag of what was shown, once", async () => {
  const { update } = page(MemberRole.OWNER);
  await userEvent.click(await screen.findByLabelText(/The hosts on a list/));
  await userEvent.type(screen.getByLabelText("Hosts"), "a.example:443, b.example:443");
  await userEvent.clear(screen.getByLabelText("Grace in hours"));
  await userEvent.type(screen.getByLabelText("Grace in hours"), "1.5");
  await userEvent.dblClick(screen.getByRole("button", { name: "Save" }));
  expect(await screen.findByText("Saved")).toBeTruthy();
  expect(screen.getByText(/may start kernels by the old policy for up to an hour/)).toBeTruthy();
  expect(update).toHaveBeenCalledOnce();
  expect(update.mock.calls[0]?.[0]).toMatchObject({
    etag: "1",
    egress: { mode: EgressMode.ALLOW_LIST, hosts: ["a.example:443", "b.example:443"] },
    trustGraceMs: 5_400_000n,
  });
});

test("a host that is none is told beside the field", async () => {
  page(MemberRole.OWNER, () => {
    throw refusal("INVALID_ARGUMENT", Code.InvalidArgument, "egress.hosts[1]", "'no' has no port.");
  });
  await userEvent.click(await screen.findByLabelText(/The hosts on a list/));
  await userEvent.type(screen.getByLabelText("Hosts"), "a.example:443 no");
  await userEvent.click(screen.getByRole("button", { name: "Save" }));
  const field = await screen.findByLabelText("Hosts");
  await vi.waitFor(() => {
    expect(document.getElementById(field.getAttribute("aria-describedby") ?? "")?.textContent).toBe(
      "'no' has no port.",
    );
  });
});

test.each(["73", "1e305"])("hours out of range (%s) are not sent", async (typed) => {
  const { update } = page(MemberRole.OWNER);
  const hours = await screen.findByLabelText("Grace in hours");
  await userEvent.clear(hours);
  await userEvent.type(hours, typed);
  expect(screen.getByText("Give 0 to 72 hours.")).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Save" }));
  expect(update).not.toHaveBeenCalled();
});

test("who comes too late is told who was first, and sees the newest", async () => {
  const bench = page(MemberRole.OWNER, () => {
    bench.overtake();
    throw refusal("ETAG_MISMATCH", Code.Aborted);
  });
  const hours = await screen.findByLabelText("Grace in hours");
  await userEvent.clear(hours);
  await userEvent.type(hours, "7");
  await userEvent.click(screen.getByRole("button", { name: "Save" }));
  expect(await screen.findByText("Somebody changed the policy meanwhile")).toBeTruthy();
  expect(await screen.findByText(/bea did/)).toBeTruthy();
  expect(await screen.findByDisplayValue("5")).toBeTruthy();
});

test("others read it and are told why they cannot change it", async () => {
  page(MemberRole.EDITOR);
  const said = "Your role here is editor: this is for owners.";
  expect(await screen.findByText(said)).toBeTruthy();
  expect(screen.getByLabelText("Grace in hours").matches(":disabled")).toBe(true);
  expect(screen.getByRole("button", { name: "Save" }).title).toBe(said);
});
