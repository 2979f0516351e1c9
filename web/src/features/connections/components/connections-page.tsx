import { useState } from "react";
import type { Connection } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { Button, Dialog, Empty, Loading, Menu, ProblemNotice } from "../../../shared/ui";
import { useDeleteConnection } from "../api/delete-connection";
import { useConnections } from "../api/list-connections";
import { NewConnectionForm } from "./new-connection";

export function ConnectionsPage({ workspaceId }: { workspaceId: string }) {
  const connections = useConnections(workspaceId);
  const remove = useDeleteConnection(workspaceId);
  const [adding, setAdding] = useState(false);
  const add = (
    <Button
      look="primary"
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
      {connections.error && <ProblemNotice error={connections.error} onRetry={connections.again} />}
      {remove.isError && <ProblemNotice error={remove.error} />}
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
              onRemove={() => {
                remove.mutate({ connectionId: connection.id, etag: connection.etag });
              }}
            />
          ))}
        </ul>
      )}
      {connections.more && (
        <Button busy={connections.loadingMore} onClick={connections.more}>
          Show more
        </Button>
      )}
      {adding && (
        <Dialog
          title="New connection"
          onClose={() => {
            setAdding(false);
          }}
        >
          <NewConnectionForm
            workspaceId={workspaceId}
            onDone={() => {
              setAdding(false);
            }}
          />
        </Dialog>
      )}
    </div>
  );
}

function ConnectionRow({ connection, onRemove }: { connection: Connection; onRemove: () => void }) {
  const details = [
    connection.allowedHosts.join(", "),
    connection.credentialFields.length > 0 ? `credential: ${connection.credentialFields.join(", ")}` : "",
  ].filter(Boolean);
  return (
    <li className="list__row">
      <div className="list__main">
        <span className="row">
          <span className="list__title">{connection.name}</span>
          <span className="tag">{connection.kind}</span>
          {connection.isDefault && <span className="tag">default</span>}
          {connection.inherited && <span className="tag">inherited</span>}
        </span>
        {details.length > 0 && <span className="list__detail">{details.join(" · ")}</span>}
      </div>
      <Menu
        label={`Actions for ${connection.name}`}
        items={[{ label: "Remove: runtimes forget it", disabled: connection.inherited, act: onRemove }]}
      >
        ⋯
      </Menu>
    </li>
  );
}
