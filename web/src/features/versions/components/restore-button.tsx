import { useState } from "react";
import { useLocation } from "wouter";
import type { Notebook } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { Button, Dialog, ProblemNotice } from "../../../shared/ui";
import { useStanding } from "../../members";
import { useRestoreVersion } from "../api/restore-version";

/** Restoring loses nothing: what is there now stays a version. It is asked once all the same. */
export function RestoreButton({ present, version }: { present: Notebook; version: bigint }) {
  const [asking, setAsking] = useState(false);
  const [, navigate] = useLocation();
  const whyNot = useStanding(present.workspaceId).refusal("notebook.edit");
  const restore = useRestoreVersion(present, () => {
    navigate(`/w/${present.workspaceId}/notebooks/${present.id}`);
  });
  if (version === present.version) return <span className="tag">the present one</span>;
  return (
    <>
      <Button
        look="primary"
        whyNot={whyNot}
        onClick={() => {
          restore.reset();
          setAsking(true);
        }}
      >
        Restore
      </Button>
      {asking && (
        <Dialog
          title={`Restore version ${version}?`}
          onClose={() => {
            setAsking(false);
          }}
        >
          <p>
            The notebook becomes what it was then, as a new version. Version {present.version}, which it is now, stays
            in this list.
          </p>
          {restore.isError && <ProblemNotice error={restore.error} />}
          <div className="dialog__actions">
            <Button
              onClick={() => {
                setAsking(false);
              }}
            >
              Cancel
            </Button>
            <Button
              look="primary"
              busy={restore.isPending || restore.isSuccess}
              onClick={() => {
                restore.mutate(version);
              }}
            >
              Restore version {String(version)}
            </Button>
          </div>
        </Dialog>
      )}
    </>
  );
}
