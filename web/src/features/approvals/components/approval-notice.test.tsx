import { fireEvent, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { type Approval, ApprovalService, ApprovalState } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { type Member, MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { CompilerService } from "../../../gen/spinapis/compiler/v1/compiler_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import type { Problem } from "../../../shared/api/problem";
import { renderPage } from "../../../testing/render";
import { memoryTransport } from "../../../testing/transport";
import { ApprovalNotice } from "./approval-notice";

const MEMBERS = [{ userId: "b", email: "bea@example.org" }] as Member[];
const REFUSAL: Problem = {
  reason: ErrorReason.APPROVAL_REQUIRED,
  text: "",
  advice: "",
  metadata: { approval_id: "" },
  violations: [],
};
const WANTED = {
  workspaceId: "w",
  notebookId: "n",
  sessionId: "s",
  cellId: "c",
  kernelLanguage: "python",
  cell: { cellType: "rest", source: "", fieldsJson: '{"url":"/purge"}' },
};

function draw(state: Partial<Approval>, problem = REFUSAL) {
  const approval = { id: "a", workspaceId: "w", approverIds: ["b"], decidedBy: "b", ...state } as Approval;
  const requestApproval = vi.fn((_request: { note: string; cellId: string }) => ({ approval }));
  const getApproval = vi.fn(() => ({ approval }));
  const cancelApproval = vi.fn(() => {
    approval.state = ApprovalState.CANCELLED;
    return { approval };
  });
  const onRun = vi.fn();
  const transport = memoryTransport((router) => {
    router.service(MemberService, { listMembers: () => ({ members: MEMBERS }) });
    router.service(CompilerService, { requestApproval });
    router.service(ApprovalService, { getApproval, cancelApproval });
  });
  const notice = (
    <ApprovalNotice workspaceId="w" problem={problem} wanted={() => Promise.resolve(WANTED)} onRun={onRun} />
  );
  return { approval, requestApproval, getApproval, cancelApproval, onRun, ...renderPage(notice, transport) };
}

const waiting = { ...REFUSAL, metadata: { approval_id: "a" } };

test("asking sends the note once and then names who may decide", async () => {
  const { requestApproval } = draw({ state: ApprovalState.PENDING });
  await userEvent.type(screen.getByLabelText("Note"), "the queue is stuck");
  await userEvent.dblClick(screen.getByRole("button", { name: "Ask for approval" }));
  expect(await screen.findByText("May decide: bea@example.org")).toBeTruthy();
  expect(requestApproval.mock.calls.map(([asked]) => [asked.note, asked.cellId])).toEqual([
    ["the queue is stuck", "c"],
  ]);
});

test("a request that waits already is shown at once, and read again until it is decided", async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  const { approval, getApproval, onRun, unmount } = draw({ state: ApprovalState.PENDING }, waiting);
  expect(await screen.findByText("Waiting for approval")).toBeTruthy();
  approval.state = ApprovalState.APPROVED;
  approval.expiresAtMs = 1_700_000_000_000n;
  await vi.advanceTimersByTimeAsync(3100);
  expect(await screen.findByText(/^Approved by bea@example.org until/)).toBeTruthy();
  const run = screen.getByRole("button", { name: "Run" });
  fireEvent.click(run);
  fireEvent.click(run);
  // The second of two quick clicks would be refused, and hide what came of the first.
  expect(onRun).toHaveBeenCalledOnce();
  approval.state = ApprovalState.USED;
  await vi.advanceTimersByTimeAsync(3100);
  expect(await screen.findByText(/approval was used/)).toBeTruthy();
  const calls = getApproval.mock.calls.length;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(getApproval.mock.calls.length).toBe(calls);
  unmount();
  vi.useRealTimers();
});

test("what is shown no more is not asked for", async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  const { getApproval, unmount } = draw({ state: ApprovalState.PENDING }, waiting);
  expect(await screen.findByText("Waiting for approval")).toBeTruthy();
  unmount();
  const calls = getApproval.mock.calls.length;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(getApproval.mock.calls.length).toBe(calls);
  vi.useRealTimers();
});

test("a refusal says who and why, and lets ask again", async () => {
  draw({ state: ApprovalState.REFUSED, decisionNote: "not on a Friday" }, waiting);
  expect(await screen.findByText("Refused by bea@example.org: not on a Friday")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Ask for approval" })).toBeTruthy();
});

test("a request can be taken back", async () => {
  const { cancelApproval } = draw({ state: ApprovalState.PENDING }, waiting);
  await userEvent.click(await screen.findByRole("button", { name: "Take the request back" }));
  expect(await screen.findByText("The request was taken back")).toBeTruthy();
  expect(cancelApproval).toHaveBeenCalledOnce();
});

test("where nobody may decide, that is said", async () => {
  draw({ state: ApprovalState.PENDING, approverIds: [] }, waiting);
  expect(await screen.findByText(/Nobody may decide yet/)).toBeTruthy();
});
