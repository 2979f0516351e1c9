import { act, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { type Member, MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { SignInService } from "../../../gen/spinapis/auth/v1/sign_in_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { questionFrame, runFrame } from "../../../testing/frames";
import { renderPage } from "../../../testing/render";
import { memoryTransport } from "../../../testing/transport";
import type { LiveSession } from "../../session";
import {
  NEW_SESSION,
  type SessionState,
  answerRefused,
  answered,
  applyFrame,
  askedAgain,
} from "../../session/model/stream";
import { Questions } from "./questions";

const MEMBERS = [
  { userId: "ann", displayName: "Ann" },
  { userId: "ben", displayName: "Ben" },
] as Member[];

/** Ann's cell asks; this is the page of `me`. */
function draw(me: string, then: (asked: SessionState) => SessionState = (asked) => asked) {
  const asked = [runFrame(1, 1, "a", RunPhase.RUNNING, { userId: "ann" }), questionFrame(2, 1, "1.1", "(Pdb) ")];
  const listeners: (() => void)[] = [];
  const answer = vi.fn();
  const session = {
    identity: { workspaceId: "w" },
    view: { stream: then(asked.reduce(applyFrame, NEW_SESSION)) },
    subscribe: (listener: () => void) => {
      listeners.push(listener);
      return () => undefined;
    },
    answer,
  };
  const become = (stream: SessionState): void => {
    act(() => {
      session.view = { stream };
      for (const listener of listeners) listener();
    });
  };
  const transport = memoryTransport((router) => {
    router.service(MemberService, { listMembers: () => ({ members: MEMBERS }) });
    router.service(SignInService, { getCurrentUser: () => ({ user: { id: me } }) });
  });
  renderPage(<Questions session={session as unknown as LiveSession} cellId="a" />, transport);
  return { answer, become, session };
}

test("who ran the cell answers what it asks", async () => {
  const { answer } = draw("ann");
  await userEvent.type(await screen.findByLabelText("(Pdb)"), "c");
  await userEvent.click(screen.getByRole("button", { name: "Send" }));
  expect(answer).toHaveBeenCalledWith("1.1", "c");
});

test("anybody else reads the question and whose it is to answer", async () => {
  draw("ben");
  expect(await screen.findByText(/^Ann ran this cell and answers it/)).toBeTruthy();
  expect(screen.getByText("(Pdb)")).toBeTruthy();
  expect(screen.queryByRole("textbox")).toBeNull();
  expect(screen.queryByRole("button")).toBeNull();
});

test("an answer that was lost is asked for again, with what was typed", async () => {
  const { become, session } = draw("ann");
  await userEvent.type(await screen.findByLabelText("(Pdb)"), "c");
  become(answered(session.view.stream, "1.1"));
  expect(screen.queryByRole("textbox")).toBeNull();
  become(askedAgain(session.view.stream));
  expect(screen.getByLabelText<HTMLInputElement>("(Pdb)").value).toBe("c");
});

test("who ran the cell by an agent is told that it is the agent's to answer", async () => {
  draw("ann", (asked) => answerRefused(answered(asked, "1.1"), ErrorReason.INPUT_REFUSED));
  expect(await screen.findByText(/^An agent in your name ran this cell and answers it/)).toBeTruthy();
  expect(screen.queryByRole("textbox")).toBeNull();
});
