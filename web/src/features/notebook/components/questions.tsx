import { useState } from "react";
import type { InputRequest } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { Button } from "../../../shared/ui";
import { type LiveSession, runKey, useSessionPart } from "../../session";

/** What the cell's code asks with input() or getpass(). */
export function Questions({ session, cellId }: { session: LiveSession; cellId: string }) {
  const stream = useSessionPart(session, (view) => view.stream);
  const open = stream?.questions.filter((question) => stream.runs[runKey(question.nonce)]?.cellId === cellId) ?? [];
  return open.map((question) => <Question key={question.requestId} question={question} session={session} />);
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
        <span>{question.prompt || "The cell waits for input"}</span>
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
