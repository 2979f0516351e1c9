import { useState } from "react";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { Button, Dialog, ProblemNotice, TextField } from "../../../shared/ui";
import { useCreateRuntime } from "../api/create-runtime";
import { urlFault } from "../model/hosts";

interface Props {
  workspaceId: string;
  first: boolean;
  onClose: () => void;
  onAdded: (runtime: Runtime) => void;
}

/** First half of adding a runtime: what it is called and where browsers reach it. */
export function AddRuntime({ workspaceId, first, onClose, onAdded }: Props) {
  const [name, setName] = useState("");
  const [url, setUrl] = useState("http://localhost:8888");
  const [tried, setTried] = useState(false);
  const create = useCreateRuntime(workspaceId);
  const fault = urlFault(url);
  return (
    <Dialog title="Add a runtime" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          setTried(true);
          if (!fault) create.mutate({ name, url: url.replace(/\/$/, ""), isDefault: first }, { onSuccess: onAdded });
        }}
      >
        <TextField label="Name" required autoFocus placeholder="Production network" value={name} onChange={setName} />
        <TextField
          label="Address"
          hint="Where your browser will reach it. SPIN’s own servers never connect to it."
          error={tried && fault ? fault : undefined}
          required
          value={url}
          onChange={setUrl}
        />
        {create.isError && <ProblemNotice error={create.error} />}
        <div className="dialog__actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={create.isPending}>
            Next
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
