import { problemOf } from "../../../shared/api/problem";
import { Button, Notice } from "../../../shared/ui";
import { type HalfReplaced, type Replacement, useFinishReplacement } from "../api/replace-runtime";

interface Props {
  workspaceId: string;
  half: HalfReplaced;
  onReplaced: (replacement: Replacement) => void;
}

/** The row of the runtime has gone with its record: what is left of it to do is said by the page. */
export function HalfReplacedNotice({ workspaceId, half, onReplaced }: Props) {
  const finish = useFinishReplacement(workspaceId, onReplaced);
  const { name, url, labels } = half.order;
  const { text, advice } = problemOf(half.error);
  const known = Object.entries(labels).map(([key, value]) => `${key}: ${value}`);
  return (
    <Notice
      tone="bad"
      title={`“${name}” was removed, and its new record was not made`}
      actions={
        <Button
          small
          busy={finish.isPending}
          onClick={() => {
            finish.mutate(half);
          }}
        >
          Make the record again
        </Button>
      }
    >
      <span>
        {text} {advice}
      </span>
      <span className="notice__advice">
        What is made: {[name, url, ...known].join(", ")}. This page alone knows it: do not leave it before.
      </span>
    </Notice>
  );
}
