import { useState } from "react";
import type { InputRequest } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { Button } from "../../../shared/ui";
import { usePersonName, useStanding } from "../../members";
import { type LiveSession, runKey, useSessionPart } from "../../session";

interface Props {
  session: LiveSession;
  cellId: string;
}

/** What the cell's code asks with input() or getpass(). The runtime takes the answer from whoever ran the cell, and from nobody else. */
export function Questions({ session, cellId }: Props) {
  const { workspaceId } = session.identity;
  const name = usePersonName(workspaceId);
  const { userId } = useStanding(workspaceId);
  const stream = useSessionPart(session, (view) => view.stream);
  const open = stream?.questions.filter((question) => stream.runs[runKey(question.nonce)]?.cellId === cellId) ?? [];
  return open.map((question) => {
    const whose = stream?.runs[runKey(question.nonce)]?.userId ?? "";
    return whose === userId ? (
      <Question key={question.requestId} question={question} session={session} />
    ) : (
      <Waiting key={question.requestId} question={question} who={name(whose)} />
    );
  });
}

function Waiting({ question, who }: { question: InputRequest; who: string }) {
  return (
    <div className="question">
      <div className="question__label">
        <span>{prompted(question)}</span>
        <span data-testid="question-whose">
          {who} ran this cell and answers it: what is typed here runs in their name. You can interrupt it, or run the
          cell yourself.
        </span>
      </div>
    </div>
  );
}

function Question({ question, session }: { question: InputRequest; session: LiveSession }) {
  const [value, setValue] = useState("");
  return (
    <form
      className="question"
      onSubmit={(event) => {
        event.preventDefault();
        session.answer(question.requestId, value);
      }}
    >
      <label className="question__label">
        <span>{prompted(question)}</span>
        <input
          className="input"
          autoFocus
          type={question.password ? "password" : "text"}
          autoComplete="off"
          value={value}
          onChange={(event) => {
            setValue(event.target.value);
          }}
        />
      </label>
      <Button type="submit" look="primary">
        Send
      </Button>
    </form>
  );
}

function prompted({ prompt }: InputRequest): string {
  return prompt || "The cell waits for input";
}
