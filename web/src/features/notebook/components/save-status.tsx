import { Button, Status } from "../../../shared/ui";
import type { SaveState } from "../model/document-store";

export function SaveStatus({ save, onSave }: { save: SaveState; onSave: () => void }) {
  switch (save.kind) {
    case "saved":
      return <Status tone="plain">Saved</Status>;
    case "saving":
      return <Status tone="busy">Saving</Status>;
    case "unsaved":
      return <Status tone="warn">Unsaved</Status>;
    case "conflict":
      return <Status tone="bad">Conflict</Status>;
    case "failed":
      return (
        <span className="row">
          <Status tone="bad">Not saved: {save.problem.text}</Status>
          <Button small onClick={onSave}>
            Save now
          </Button>
        </span>
      );
  }
}
