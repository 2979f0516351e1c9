import { useState } from "react";
import type { ApiKey } from "../../../gen/spinapis/auth/v1/members_pb";
import { formatAgo, formatTime } from "../../../shared/clock";
import { Button, Dialog, Empty, Loading, ProblemNotice, Status, type Tone } from "../../../shared/ui";
import { roleName, usePersonName, useStanding } from "../../members";
import { useApiKeys } from "../api/list-api-keys";
import { useRevokeApiKey } from "../api/revoke-api-key";
import { standing } from "../model/expiry";
import { NewApiKey } from "./new-api-key";

export function ApiKeysPage({ workspaceId }: { workspaceId: string }) {
  const whyNot = useStanding(workspaceId).refusal("apikey.manage");
  return whyNot === undefined ? <ApiKeys workspaceId={workspaceId} /> : <NotYours whyNot={whyNot} />;
}

/** Who may not make keys does not see others' either. */
function NotYours({ whyNot }: { whyNot: string }) {
  const add = (
    <Button look="primary" whyNot={whyNot}>
      New API key
    </Button>
  );
  return (
    <div className="stack">
      <h1>API keys</h1>
      <Empty title="API keys are not shown to you" actions={add}>
        {whyNot}
      </Empty>
    </div>
  );
}

function ApiKeys({ workspaceId }: { workspaceId: string }) {
  const keys = useApiKeys(workspaceId);
  const [adding, setAdding] = useState(false);
  const add = (
    <Button
      look="primary"
      onClick={() => {
        setAdding(true);
      }}
    >
      New API key
    </Button>
  );
  if (keys.loading) return <Loading what="API keys" />;
  return (
    <div className="stack">
      <div className="page-head">
        <h1>API keys</h1>
        {keys.items.length > 0 && add}
      </div>
      {keys.error && <ProblemNotice error={keys.error} onRetry={keys.again} />}
      {keys.items.length === 0 && !keys.error && (
        <Empty title="No API keys yet" actions={add}>
          A key lets a program, such as spinctl in CI, act in this workspace with a role of its own.
        </Empty>
      )}
      {keys.items.length > 0 && (
        <ul className="list">
          {keys.items.map((key) => (
            <ApiKeyRow key={key.id} workspaceId={workspaceId} apiKey={key} />
          ))}
        </ul>
      )}
      {keys.more && (
        <Button busy={keys.loadingMore} onClick={keys.more}>
          Show more
        </Button>
      )}
      {adding && (
        <NewApiKey
          workspaceId={workspaceId}
          onClose={() => {
            setAdding(false);
          }}
        />
      )}
    </div>
  );
}

const STANDING: Record<ReturnType<typeof standing>, [Tone, string]> = {
  active: ["ok", "Active"],
  expired: ["warn", "Expired"],
  revoked: ["bad", "Revoked"],
};

function ApiKeyRow({ workspaceId, apiKey }: { workspaceId: string; apiKey: ApiKey }) {
  const [now] = useState(Date.now);
  const [asking, setAsking] = useState(false);
  const nameOf = usePersonName(workspaceId);
  const stands = standing(apiKey, now);
  const [tone, text] = STANDING[stands];
  const used = apiKey.lastUsedAtMs === 0n ? "never used" : `last used ${formatAgo(apiKey.lastUsedAtMs, now)}`;
  const ends = apiKey.expiresAtMs === 0n ? "does not expire" : `expires ${formatTime(apiKey.expiresAtMs)}`;
  return (
    <li className="list__row">
      <div className="list__main">
        <span className="row">
          <span className="list__title">{apiKey.name}</span>
          <span className="tag">{roleName(apiKey.role)}</span>
        </span>
        <span className="list__detail">
          {used} · {ends}
        </span>
        <span className="list__detail">
          made {formatTime(apiKey.createdAtMs)} by {nameOf(apiKey.createdBy)}
        </span>
      </div>
      <Status tone={tone}>{text}</Status>
      {stands !== "revoked" && (
        <Button
          small
          aria-label={`Revoke ${apiKey.name}`}
          onClick={() => {
            setAsking(true);
          }}
        >
          Revoke…
        </Button>
      )}
      {asking && (
        <RevokeApiKey
          workspaceId={workspaceId}
          apiKey={apiKey}
          onClose={() => {
            setAsking(false);
          }}
        />
      )}
    </li>
  );
}

function RevokeApiKey({ workspaceId, apiKey, onClose }: { workspaceId: string; apiKey: ApiKey; onClose: () => void }) {
  const revoke = useRevokeApiKey(workspaceId);
  return (
    <Dialog title={`Revoke “${apiKey.name}”?`} onClose={onClose}>
      <p>Whatever uses the key is refused from now on. It cannot be undone: a new key is another one.</p>
      {revoke.isError && <ProblemNotice error={revoke.error} />}
      <div className="dialog__actions">
        <Button onClick={onClose}>Keep it</Button>
        <Button
          look="danger"
          busy={revoke.isPending}
          onClick={() => {
            revoke.mutate(apiKey.id, { onSuccess: onClose });
          }}
        >
          Revoke
        </Button>
      </div>
    </Dialog>
  );
}
