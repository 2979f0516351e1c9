import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import { type Approval, ApprovalService, ApprovalState } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { type Member, MemberRole, MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { renderPage } from "../../../testing/render";
import { memoryTransport } from "../../../testing/transport";
import { ApprovalsPage } from "./approvals-page";

const DIGEST = new Uint8Array(32).fill(5);
const ASKED = {
  id: "a",
  workspaceId: "w",
  state: ApprovalState.PENDING,
  requestedBy: "ann",
  actorChain: ["agent-7"],
  notebookId: "n",
  cellId: "purge",
  cellType: "rest",
  fieldsJson: '{"url":"/purge"}',
  note: "the queue is stuck",
  uses: [{ connectionId: Uint8Array.of(0xab), operations: ["rest.request"] }],
  sourceDigest: DIGEST,
} as unknown as Approval;

function draw(me: string, approvals: Approval[], role = MemberRole.EDITOR) {
  const decideApproval = vi.fn(
    (request: { approve: boolean; note: string; sourceDigest: Uint8Array; validMs: bigint }) => {
      const approval = { ...ASKED, state: request.approve ? ApprovalState.APPROVED : ApprovalState.REFUSED };
      approvals.splice(0, 1, approval);
      return { approval };
    },
  );
  const members = [
    { userId: "ann", email: "ann@example.org", role: MemberRole.EDITOR },
    { userId: "bea", email: "bea@example.org", role },
  ] as Member[];
  const transport = memoryTransport((router) => {
    router.service(SignInService, { getCurrentUser: () => ({ user: { id: me } }) });
    router.service(MemberService, { listMembers: () => ({ members }) });
    router.service(ConnectionService, { listConnections: () => ({ connections: [{ id: "ab", name: "tickets" }] }) });
    router.service(NotebookService, { getNotebook: () => ({ notebook: { id: "n", title: "Stuck queues" } }) });
    router.service(ApprovalService, {
      listApprovals: ({ state }) => ({
        approvals: approvals.filter((one) => state === ApprovalState.UNSPECIFIED || one.state === state),
      }),
      decideApproval,
    });
  });
  renderPage(<ApprovalsPage workspaceId="w" />, transport);
  return { decideApproval };
}

test("all that is to be decided on is there: who, through whom, where, what, why", async () => {
  draw("bea", [ASKED]);
  const waiting = within(await screen.findByRole("list", { name: "Waiting" }));
  expect(await waiting.findByText("ann@example.org")).toBeTruthy();
  expect(waiting.getByText("agent-7")).toBeTruthy();
  expect((await waiting.findByRole("link", { name: "Stuck queues" })).getAttribute("href")).toBe("/w/w/notebooks/n");
  expect(await waiting.findByText("rest.request with “tickets”")).toBeTruthy();
  expect(waiting.getByText("the queue is stuck")).toBeTruthy();
  expect(waiting.getByRole("textbox", { name: "Fields of the cell" }).textContent).toContain("/purge");
});

test("approving says how long, why, and of which cell", async () => {
  const { decideApproval } = draw("bea", [ASKED]);
  await userEvent.type(await screen.findByLabelText("Note"), "go on");
  await userEvent.selectOptions(screen.getByLabelText("May be used for"), "An hour");
  await userEvent.dblClick(screen.getByRole("button", { name: "Approve" }));
  expect(await screen.findByText("Nobody waits for an approval")).toBeTruthy();
  expect(decideApproval).toHaveBeenCalledOnce();
  expect(decideApproval.mock.calls[0]?.[0]).toMatchObject({
    approve: true,
    note: "go on",
    validMs: 3_600_000n,
    sourceDigest: DIGEST,
  });
});

test("a refusal of the service stays at its request", async () => {
  const { decideApproval } = draw("bea", [ASKED]);
  decideApproval.mockImplementation(() => {
    throw new ConnectError("This was decided already.", Code.FailedPrecondition);
  });
  await userEvent.click(await screen.findByRole("button", { name: "Refuse" }));
  expect(await screen.findByText("This was decided already.")).toBeTruthy();
});

test.each([
  ["ann", MemberRole.EDITOR, /asked for this in your name/],
  ["bea", MemberRole.VIEWER, /Your role here is viewer/],
])("%s as role %i cannot press either button and reads why", async (me, role, reason) => {
  draw(me, [ASKED], role);
  expect(await screen.findByText(reason)).toBeTruthy();
  for (const name of ["Approve", "Refuse"])
    expect(screen.getByRole<HTMLButtonElement>("button", { name }).disabled).toBe(true);
});
