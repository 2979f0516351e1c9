import { useState } from "react";
import { MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { Button, Copyable, Dialog, Notice, ProblemNotice, SelectField, TextField } from "../../../shared/ui";
import { ROLE_OPTIONS } from "../../members";
import { useCreateApiKey } from "../api/create-api-key";
import { LIVES, expiryOf } from "../model/expiry";

export function NewApiKey({ workspaceId, onClose }: { workspaceId: string; onClose: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState(MemberRole.AGENT);
  const [life, setLife] = useState("90");
  const create = useCreateApiKey(workspaceId);
  if (create.data) return <Secret secret={create.data.secret} onClose={onClose} />;
  return (
    <Dialog title="New API key" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate({ name: name.trim(), role, expiresAtMs: expiryOf(life, Date.now()) });
        }}
      >
        <TextField
          label="Name"
          hint="What will use it, such as “nightly checks”."
          required
          autoFocus
          maxLength={100}
          value={name}
          onChange={setName}
        />
        <SelectField
          label="Role"
          hint="Not above your own. A key hands out no access and confirms no runtime, whatever its role."
          value={String(role)}
          options={ROLE_OPTIONS}
          onChange={(value) => {
            setRole(Number(value));
          }}
        />
        <SelectField label="Expires after" value={life} options={LIVES} onChange={setLife} />
        {create.isError && <ProblemNotice error={create.error} />}
        <div className="dialog__actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={create.isPending}>
            Create
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Shown once: neither this page nor the service has it afterwards. */
function Secret({ secret, onClose }: { secret: string; onClose: () => void }) {
  return (
    <Dialog title="Copy the key now" onClose={onClose}>
      <Notice tone="warn" title="This is the only time that the key is shown">
        <span>
          Keep it where secrets are kept. Programs take it from <code>SPIN_API_KEY</code>; whoever loses it revokes it
          here and makes another.
        </span>
      </Notice>
      <Copyable label="API key" text={secret} />
      <div className="dialog__actions">
        <Button look="primary" onClick={onClose}>
          I have copied it
        </Button>
      </div>
    </Dialog>
  );
}
