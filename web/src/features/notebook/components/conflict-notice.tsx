import { useState } from "react";
import { Button, Notice, ProblemNotice } from "../../../shared/ui";
import type { DocumentStore } from "../model/document-store";

/** Two people saved: nothing is overwritten until this one has chosen. */
export function ConflictNotice({ store }: { store: DocumentStore }) {
  const [error, setError] = useState<unknown>();
  const attempt = (act: () => Promise<void>) => () => {
    setError(undefined);
    act().catch(setError);
  };
  return (
    <>
      <Notice
        tone="warn"
        title="Someone else saved this notebook while you edited it"
        actions={
          <>
            <Button small onClick={attempt(() => store.takeTheirs())}>
              Load theirs, drop my changes
            </Button>
            <Button small onClick={attempt(() => store.keepMine())}>
              Save mine over theirs
            </Button>
          </>
        }
      >
        <span>
          Your changes are still here and are not being saved. The version you do not choose stays in the notebook’s
          versions if it was saved.
        </span>
      </Notice>
      {error !== undefined && <ProblemNotice error={error} />}
    </>
  );
}
