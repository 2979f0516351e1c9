import { useState } from "react";
import type { ConnectionKind } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { type Problem, problemOf } from "../../../shared/api/problem";
import { Button, Notice, ProblemText, SelectField, TextField } from "../../../shared/ui";
import { type ConnectionForm as Form, faultOf, hostOf, withKind } from "../model/connection-form";
import { ExpiryField } from "./expiry-field";
import { GrantsFields } from "./grants-fields";
import { SchemaFields } from "./schema-fields";
import "./connections.css";

interface Props {
  workspaceId: string;
  kinds: readonly ConnectionKind[];
  initial: Form;
  /** The kind stays what it was, and so does the credential where none is given. */
  existing: boolean;
  busy: boolean;
  error: unknown;
  onSubmit: (form: Form) => void;
  onCancel: () => void;
}

export function ConnectionForm({ workspaceId, kinds, initial, existing, busy, error, onSubmit, onCancel }: Props) {
  const [form, setForm] = useState(initial);
  const set = (change: Partial<Form>): void => {
    setForm({ ...form, ...change });
  };
  const kind = kinds.find((one) => one.name === form.kind);
  const problem = error ? problemOf(error) : undefined;
  const hosts = form.hosts.trim() || hostOf(form.configJson);
  return (
    <form
      className="stack"
      autoComplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit({ ...form, hosts });
      }}
    >
      <TextField
        label="Name"
        hint="Cells name the connection by it."
        error={faultOf(problem, "name")}
        required
        autoFocus
        maxLength={100}
        value={form.name}
        onChange={(name) => {
          set({ name });
        }}
      />
      <SelectField
        label="Kind"
        error={faultOf(problem, "kind")}
        disabled={existing}
        value={form.kind}
        options={kinds.map(({ name }) => ({ value: name, label: name }))}
        onChange={(name) => {
          const chosen = kinds.find((one) => one.name === name);
          if (chosen) setForm(withKind(form, chosen));
        }}
      />
      {kind && (
        <SchemaFields
          legend="Configuration: not secret"
          path="config_json"
          schemaJson={kind.configSchemaJson}
          valueJson={form.configJson}
          problem={problem}
          onChange={(configJson) => {
            set({ configJson });
          }}
        />
      )}
      {kind && (
        <SchemaFields
          legend={existing ? "New credential: empty keeps the present one" : "Credential: it cannot be read back"}
          path="credential_json"
          schemaJson={kind.credentialSchemaJson}
          valueJson={form.credentialJson}
          secret
          problem={problem}
          onChange={(credentialJson) => {
            set({ credentialJson });
          }}
        />
      )}
      {problem && faultOf(problem, "credential_json") && (
        <span className="field__error">{faultOf(problem, "credential_json")}</span>
      )}
      <TextField
        label="References to secret managers"
        hint='Which fields a manager of the runtime holds, and where, instead of a credential here; owners only: {"FIELD": {"manager": "NAME", "path": "kv/app", "key": "KEY"}}'
        error={referenceFault(problem)}
        value={form.referencesJson}
        onChange={(referencesJson) => {
          set({ referencesJson });
        }}
      />
      <label className="row">
        <input
          type="checkbox"
          checked={form.exposable}
          onChange={(event) => {
            set({ exposable: event.target.checked });
          }}
        />
        Exposable: programs may read the credential’s value
      </label>
      {form.exposable && (
        <Notice tone="warn" title="The credential leaves the broker.">
          Whoever may use the connection can have a cell read it, keep it, print it, or send it anywhere that the kernel
          reaches. Each reading is in the log, and cannot be taken back but by changing the credential in its system.
        </Notice>
      )}
      <TextField
        label="Hosts it may be sent to"
        hint="Exact names, with a port where it is not 443; separated by commas. They mean https; http://NAME allows http."
        error={faultOf(problem, "allowed_hosts")}
        required={hosts === ""}
        value={form.hosts}
        placeholder={hostOf(form.configJson)}
        onChange={(next) => {
          set({ hosts: next });
        }}
      />
      {kind && <Operations kind={kind} form={form} fault={faultOf(problem, "allowed_operations")} onChange={set} />}
      <Guarded form={form} fault={faultOf(problem, "approval_operations")} onChange={set} />
      <GrantsFields
        workspaceId={workspaceId}
        grants={form.grants}
        fault={faultOf(problem, "grants")}
        onChange={(grants) => {
          set({ grants });
        }}
      />
      <ExpiryField
        value={form.expiresOn}
        error={faultOf(problem, "expires_at_ms")}
        onChange={(expiresOn) => {
          set({ expiresOn });
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
      {problem && <ProblemText problem={problem} />}
      <div className="dialog__actions">
        <Button onClick={onCancel}>Cancel</Button>
        <Button look="primary" type="submit" busy={busy}>
          {existing ? "Save" : "Create"}
        </Button>
      </div>
    </form>
  );
}

/** The first that the service says of any of them. */
function referenceFault(problem: Problem | undefined): string | undefined {
  const found = problem?.violations.find(({ field }) => field.startsWith("references_json"));
  return found && `${found.field.replace(/^references_json\.?/, "")} ${found.description}`.trim();
}

interface OperationsProps {
  kind: ConnectionKind;
  form: Form;
  fault: string | undefined;
  onChange: (change: Partial<Form>) => void;
}

/** A kind with one operation leaves nothing to choose. */
function Operations({ kind, form, fault, onChange }: OperationsProps) {
  if (kind.operations.length < 2) return null;
  return (
    <fieldset className="connection__part">
      <legend>Operations it may be used for</legend>
      {kind.operations.map((operation) => (
        <label key={operation} className="row">
          <input
            type="checkbox"
            checked={form.operations.includes(operation)}
            onChange={(event) => {
              const others = form.operations.filter((one) => one !== operation);
              onChange({ operations: event.target.checked ? [...others, operation] : others });
            }}
          />
          <code>{operation}</code>
        </label>
      ))}
      {fault && <span className="field__error">{fault}</span>}
    </fieldset>
  );
}

/** Of what the connection may be used for: what a second person has to approve for each run. */
function Guarded({ form, fault, onChange }: Omit<OperationsProps, "kind">) {
  if (form.operations.length === 0) return null;
  return (
    <fieldset className="connection__part">
      <legend>Needs somebody else’s approval for each run</legend>
      {form.operations.map((operation) => (
        <label key={operation} className="row">
          <input
            type="checkbox"
            aria-label={`${operation} needs approval`}
            checked={form.approval.includes(operation)}
            onChange={(event) => {
              const others = form.approval.filter((one) => one !== operation);
              onChange({ approval: event.target.checked ? [...others, operation] : others });
            }}
          />
          <code>{operation}</code>
        </label>
      ))}
      {fault && <span className="field__error">{fault}</span>}
    </fieldset>
  );
}
