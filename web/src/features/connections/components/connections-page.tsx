import { useState } from "react";
import type { Connection, ConnectionKind } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { formatTime } from "../../../shared/clock";
import { Button, Empty, Loading, Menu, ProblemNotice } from "../../../shared/ui";
import { readFields } from "../../../shared/schema-form";
import { useStanding } from "../../members";
import { useConnectionKinds } from "../api/list-connection-kinds";
import { useConnections } from "../api/list-connections";
import { lastUsed } from "../model/connection-form";
import { EditConnection, NewConnection, RemoveConnection, ReplaceCredential } from "./connection-dialogs";

export function ConnectionsPage({ workspaceId }: { workspaceId: string }) {
  const connections = useConnections(workspaceId);
  const kinds = useConnectionKinds();
  const [adding, setAdding] = useState(false);
  const whyNot = useStanding(workspaceId).refusal("connection.manage");
  const add = (
    <Button
      look="primary"
      busy={kinds.isPending}
      disabled={kinds.isError}
      whyNot={whyNot}
      onClick={() => {
        setAdding(true);
      }}
    >
      New connection
    </Button>
  );
  if (connections.loading) return <Loading what="connections" />;
  return (
    <div className="stack">
      <div className="page-head">
        <h1>Connections</h1>
        {connections.items.length > 0 && add}
      </div>
      {whyNot && <p className="list__detail">{whyNot}</p>}
      {connections.error && <ProblemNotice error={connections.error} onRetry={connections.again} />}
      {kinds.isError && <ProblemNotice error={kinds.error} onRetry={() => void kinds.refetch()} />}
      {connections.items.length === 0 && !connections.error && (
        <Empty title="No connections yet" actions={add}>
          A connection lets cells use another system. Its credential is sealed to your runtimes; nobody, owners
          included, reads it back.
        </Empty>
      )}
      {connections.items.length > 0 && (
        <ul className="list">
          {connections.items.map((connection) => (
            <ConnectionRow
              key={connection.id}
              connection={connection}
              kinds={kinds.data ?? []}
              managed={whyNot === undefined}
            />
          ))}
        </ul>
      )}
      {connections.more && (
        <Button busy={connections.loadingMore} onClick={connections.more}>
          Show more
        </Button>
      )}
      {adding && kinds.data && (
        <NewConnection
          workspaceId={workspaceId}
          kinds={kinds.data}
          onClose={() => {
            setAdding(false);
          }}
        />
      )}
    </div>
  );
}

type Open = "edit" | "credential" | "remove" | undefined;

interface RowProps {
  connection: Connection;
  kinds: readonly ConnectionKind[];
  /** Whether the person's role changes connections. */
  managed: boolean;
}

function ConnectionRow({ connection, kinds, managed }: RowProps) {
  const [open, setOpen] = useState<Open>();
  const [now] = useState(Date.now);
  const close = (): void => {
    setOpen(undefined);
  };
  const item = (label: string, what: Open) => ({
    label,
    act: () => {
      setOpen(what);
    },
  });
  const details = [
    connection.allowedHosts.join(", "),
    connection.credentialFields.length > 0 ? `credential: ${connection.credentialFields.join(", ")}` : "",
    connection.referencesJson
      ? `held by a manager: ${Object.keys(readFields(connection.referencesJson)).join(", ")}`
      : "",
    lastUsed(connection.lastUsedAtMs, now),
    connection.updatedAtMs === 0n ? "" : `changed ${formatTime(connection.updatedAtMs)}`,
  ].filter(Boolean);
  return (
    <li className="list__row">
      <div className="list__main">
        <span className="row">
          <span className="list__title">{connection.name}</span>
          <span className="tag">{connection.kind}</span>
          {connection.isDefault && <span className="tag">default</span>}
          {connection.exposable && <span className="tag">exposable</span>}
          {connection.inherited && <span className="tag">inherited</span>}
        </span>
        {details.length > 0 && <span className="list__detail">{details.join(" · ")}</span>}
        {connection.inherited && (
          <span className="list__detail">It is changed in the workspace that it comes from.</span>
        )}
      </div>
      {managed && !connection.inherited && (
        <Menu
          label={`Actions for ${connection.name}`}
          items={[item("Edit…", "edit"), item("Replace the credential…", "credential"), item("Remove…", "remove")]}
        />
      )}
      {open === "edit" && <EditConnection connection={connection} kinds={kinds} onClose={close} />}
      {open === "credential" && <ReplaceCredential connection={connection} kinds={kinds} onClose={close} />}
      {open === "remove" && <RemoveConnection connection={connection} onClose={close} />}
    </li>
  );
}
