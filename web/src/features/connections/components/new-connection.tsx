import { useState } from "react";
import { Button, Field, ProblemNotice, TextField } from "../../../shared/ui";
import { type NewConnection, useCreateConnection } from "../api/create-connection";
import { credentialJson, jsonFault, words } from "../credential";

interface Props {
  workspaceId: string;
  onDone: () => void;
}

const BLANK = {
  name: "",
  kind: "rest",
  config: "",
  field: "token",
  secret: "",
  hosts: "",
  operations: "",
  isDefault: false,
};

export function NewConnectionForm({ workspaceId, onDone }: Props) {
  const [form, setForm] = useState(BLANK);
  const create = useCreateConnection(workspaceId);
  const set = (change: Partial<typeof BLANK>): void => {
    setForm({ ...form, ...change });
  };
  const fault = jsonFault(form.config);
  return (
    <form
      className="stack"
      autoComplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        if (!fault) create.mutate(orderOf(form), { onSuccess: onDone });
      }}
    >
      <TextField
        label="Name"
        required
        autoFocus
        value={form.name}
        onChange={(name) => {
          set({ name });
        }}
      />
      <TextField
        label="Kind"
        hint="What it connects to, such as rest."
        required
        value={form.kind}
        onChange={(kind) => {
          set({ kind });
        }}
      />
      <Field
        label="Configuration"
        hint='JSON; not secret. For rest: {"base_url": "https://api.internal"}'
        error={fault || undefined}
      >
        {(control) => (
          <textarea
            className="input"
            {...control}
            value={form.config}
            onChange={(event) => {
              set({ config: event.target.value });
            }}
          />
        )}
      </Field>
      <TextField
        label="Name of the credential’s field"
        value={form.field}
        onChange={(field) => {
          set({ field });
        }}
      />
      <TextField
        label="Credential"
        hint="A text, or a JSON object with several fields. It cannot be read back."
        type="password"
        autoComplete="off"
        value={form.secret}
        onChange={(secret) => {
          set({ secret });
        }}
      />
      <TextField
        label="Hosts it may be sent to"
        hint="Exact names, with a port where it is not the scheme’s own; separated by commas."
        required
        value={form.hosts}
        onChange={(hosts) => {
          set({ hosts });
        }}
      />
      <TextField
        label="Operations it may be used for"
        hint="Such as rest.request; separated by commas. Empty allows what its kind has."
        value={form.operations}
        onChange={(operations) => {
          set({ operations });
        }}
      />
      <label className="row">
        <input
          type="checkbox"
          checked={form.isDefault}
          onChange={(event) => {
            set({ isDefault: event.target.checked });
          }}
        />
        The workspace’s first choice of its kind
      </label>
      {create.isError && <ProblemNotice error={create.error} />}
      <div className="dialog__actions">
        <Button onClick={onDone}>Cancel</Button>
        <Button look="primary" type="submit" busy={create.isPending}>
          Create
        </Button>
      </div>
    </form>
  );
}

function orderOf(form: typeof BLANK): NewConnection {
  return {
    name: form.name,
    kind: form.kind,
    configJson: form.config.trim() || "{}",
    credentialJson: credentialJson(form.field, form.secret),
    allowedHosts: words(form.hosts),
    allowedOperations: words(form.operations),
    isDefault: form.isDefault,
  };
}
