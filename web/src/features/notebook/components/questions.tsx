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
  const asked = stream?.questions.filter(({ request }) => stream.runs[runKey(request.nonce)]?.cellId === cellId) ?? [];
  return asked.map(({ request, answer }) => {
    const whose = stream?.runs[runKey(request.nonce)]?.userId ?? "";
    if (whose !== userId) return <Waiting key={request.requestId} request={request} who={name(whose)} />;
    if (answer === "theirs") return <Waiting key={request.requestId} request={request} who={AGENT} />;
    return <Question key={request.requestId} {...{ request, session }} sent={answer === "sent"} />;
  });
}

/** Whose a run of the person's is that is not theirs to answer: the page has no way to tell before the runtime refuses. */
const AGENT = "An agent in your name";

function Waiting({ request, who }: { request: InputRequest; who: string }) {
  return (
    <div className="question">
      <div className="question__label">
        <span>{prompted(request)}</span>
        <span data-testid="question-whose">
          {who} ran this cell and answers it: what is typed here runs in their name. You can interrupt it, or run the
          cell yourself.
        </span>
      </div>
    </div>
  );
}

interface QuestionProps {
  request: InputRequest;
  session: LiveSession;
  /** Out of sight until the run goes on; what was typed is kept for the case that it did not come. */
  sent: boolean;
}

function Question({ request, session, sent }: QuestionProps) {
  const [value, setValue] = useState("");
  if (sent) return null;
  return (
    <form
      className="question"
      onSubmit={(event) => {
        event.preventDefault();
        session.answer(request.requestId, value);
      }}
    >
      <label className="question__label">
        <span>{prompted(request)}</span>
        <input
          className="input"
          autoFocus
          type={request.password ? "password" : "text"}
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
