import { useState } from "react";
import type { Connection, ConnectionKind } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { problemOf } from "../../../shared/api/problem";
import { Button, Dialog, Notice, ProblemNotice, ProblemText } from "../../../shared/ui";
import { useCreateConnection } from "../api/create-connection";
import { useDeleteConnection } from "../api/delete-connection";
import { useReplaceCredential } from "../api/replace-credential";
import { useUpdateConnection } from "../api/update-connection";
import {
  type ConnectionForm as Form,
  type Grant,
  approvalOf,
  expiryOf,
  formOf,
  newForm,
  faultOf,
  sameGrant,
  words,
} from "../model/connection-form";
import { ConnectionForm } from "./connection-form";
import { ExpiryField } from "./expiry-field";
import { SchemaFields } from "./schema-fields";

interface NewProps {
  workspaceId: string;
  kinds: readonly ConnectionKind[];
  onClose: () => void;
  onMade: (connection: Connection) => void;
}

export function NewConnection({ workspaceId, kinds, onClose, onMade }: NewProps) {
  const create = useCreateConnection(workspaceId, onMade);
  return (
    <Dialog title="New connection" onClose={onClose}>
      <ConnectionForm
        workspaceId={workspaceId}
        kinds={kinds}
        initial={newForm(kinds)}
        existing={false}
        busy={create.isPending}
        error={create.error}
        onCancel={onClose}
        onSubmit={(form) => {
          const order = {
            ...settingsOf(form),
            ...{ kind: form.kind, credentialJson: form.credentialJson || "{}", grants: [...form.grants] },
            referencesJson: form.referencesJson.trim(),
          };
          create.mutate(order);
        }}
      />
    </Dialog>
  );
}

interface Props {
  connection: Connection;
  kinds: readonly ConnectionKind[];
  onClose: () => void;
}

export function EditConnection({ connection, kinds, onClose }: Props) {
  const [first] = useState(connection);
  const update = useUpdateConnection(first);
  return (
    <Dialog title={`Edit “${first.name}”`} onClose={onClose}>
      <ConnectionForm
        workspaceId={first.workspaceId}
        kinds={kinds}
        initial={formOf(first)}
        existing
        busy={update.isPending}
        error={update.error}
        onCancel={onClose}
        onSubmit={(form) => {
          const change = {
            ...{ ...settingsOf(form), grants: changedGrants(first, form) },
            credentialJson: form.credentialJson || undefined,
            referencesJson: form.referencesJson === first.referencesJson ? undefined : form.referencesJson.trim(),
          };
          update.mutate(change, { onSuccess: onClose });
        }}
      />
    </Dialog>
  );
}

/** undefined when they are as they were: who may not see them does not replace them. */
function changedGrants(connection: Connection, { grants }: Form): Grant[] | undefined {
  const before = formOf(connection).grants;
  const same = before.length === grants.length && before.every((one) => grants.some((grant) => sameGrant(one, grant)));
  return same ? undefined : [...grants];
}

function settingsOf(form: Form) {
  return {
    name: form.name.trim(),
    configJson: form.configJson || "{}",
    allowedHosts: words(form.hosts),
    allowedOperations: [...form.operations],
    approvalOperations: approvalOf(form),
    exposable: form.exposable,
    expiresAtMs: expiryOf(form.expiresOn),
    isDefault: form.isDefault,
  };
}

export function ReplaceCredential({ connection, kinds, onClose }: Props) {
  const [first] = useState(connection);
  const [value, setValue] = useState("");
  const [expiresOn, setExpiresOn] = useState("");
  const replace = useReplaceCredential(first);
  const problem = replace.error ? problemOf(replace.error) : undefined;
  const kind = kinds.find((one) => one.name === first.kind);
  const set = first.credentialFields.join(", ");
  return (
    <Dialog title={`Replace the credential of “${first.name}”`} onClose={onClose}>
      <form
        className="stack"
        autoComplete="off"
        onSubmit={(event) => {
          event.preventDefault();
          replace.mutate({ credentialJson: value || "{}", expiresAtMs: expiryOf(expiresOn) }, { onSuccess: onClose });
        }}
      >
        <p>
          {set ? `Set now: ${set}.` : "No credential is set now."} What you give here takes the place of all of it, on
          every runtime. Nobody reads it back.
        </p>
        {kind && (
          <SchemaFields
            legend="New credential"
            path="credential_json"
            schemaJson={kind.credentialSchemaJson}
            valueJson={value}
            secret
            problem={problem}
            onChange={setValue}
          />
        )}
        <ExpiryField value={expiresOn} error={faultOf(problem, "expires_at_ms")} onChange={setExpiresOn} />
        {value === "" && set !== "" && (
          <Notice tone="warn" title="With all fields empty the credential is taken away." />
        )}
        {problem && <ProblemText problem={problem} />}
        <div className="dialog__actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={replace.isPending}>
            Replace
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function RemoveConnection({ connection, onClose }: { connection: Connection; onClose: () => void }) {
  const remove = useDeleteConnection(connection.workspaceId);
  return (
    <Dialog title={`Remove “${connection.name}”?`} onClose={onClose}>
      <p>Runtimes forget its credential, and cells that name it fail. It cannot be undone.</p>
      {remove.isError && <ProblemNotice error={remove.error} />}
      <div className="dialog__actions">
        <Button onClick={onClose}>Keep it</Button>
        <Button
          look="danger"
          busy={remove.isPending}
          onClick={() => {
            remove.mutate({ connectionId: connection.id, etag: connection.etag }, { onSuccess: onClose });
          }}
        >
          Remove
        </Button>
      </div>
    </Dialog>
  );
}
