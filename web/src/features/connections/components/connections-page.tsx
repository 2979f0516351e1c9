import { useState } from "react";
import type { Connection, ConnectionKind } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { formatTime } from "../../../shared/clock";
import { Button, Empty, Loading, Menu, ProblemNotice } from "../../../shared/ui";
import { readFields } from "../../../shared/schema-form";
import { useStanding } from "../../members";
import { useConnectionKinds } from "../api/list-connection-kinds";
import { useConnections } from "../api/list-connections";
import { lastUsed, untestable } from "../model/connection-form";
import { EditConnection, NewConnection, RemoveConnection, ReplaceCredential } from "./connection-dialogs";
import { TestConnection } from "./test-connection";

export function ConnectionsPage({ workspaceId }: { workspaceId: string }) {
  const connections = useConnections(workspaceId);
  const kinds = useConnectionKinds();
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<Connection>();
  const { refusal } = useStanding(workspaceId);
  const whyNot = refusal("connection.manage");
  const whyNotTest = refusal("run") ?? refusal("notebook.edit");
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
              workspaceId={workspaceId}
              connection={connection}
              kinds={kinds.data}
              whyNotTest={whyNotTest}
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
          onMade={(connection) => {
            setAdding(false);
            if (whyNotTest === undefined) setMade(connection);
          }}
        />
      )}
      {made && (
        <TestConnection
          workspaceId={workspaceId}
          connection={made}
          fresh
          onClose={() => {
            setMade(undefined);
          }}
        />
      )}
    </div>
  );
}

type Open = "test" | "edit" | "credential" | "remove" | undefined;

interface RowProps {
  /** Where the page is: an inherited connection has another one of its own. */
  workspaceId: string;
  connection: Connection;
  /** undefined while they load. */
  kinds: readonly ConnectionKind[] | undefined;
  /** Why the person's role tests nothing. */
  whyNotTest: string | undefined;
  /** Whether the person's role changes connections. */
  managed: boolean;
}

function ConnectionRow({ workspaceId, connection, kinds = [], whyNotTest, managed }: RowProps) {
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
      <Button
        small
        aria-label={`Test ${connection.name}`}
        whyNot={whyNotTest ?? untestable(connection, kinds)}
        onClick={() => {
          setOpen("test");
        }}
      >
        Test
      </Button>
      {managed && !connection.inherited && (
        <Menu
          label={`Actions for ${connection.name}`}
          items={[item("Edit…", "edit"), item("Replace the credential…", "credential"), item("Remove…", "remove")]}
        />
      )}
      {open === "test" && <TestConnection workspaceId={workspaceId} connection={connection} onClose={close} />}
      {open === "edit" && <EditConnection connection={connection} kinds={kinds} onClose={close} />}
      {open === "credential" && <ReplaceCredential connection={connection} kinds={kinds} onClose={close} />}
      {open === "remove" && <RemoveConnection connection={connection} onClose={close} />}
    </li>
  );
}
