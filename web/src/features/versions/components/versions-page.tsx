import { useState } from "react";
import { Link } from "wouter";
import type { Notebook, NotebookVersion } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { formatAgo, formatTime } from "../../../shared/clock";
import { Button, Loading, ProblemNotice, Tabs } from "../../../shared/ui";
import { usePersonName } from "../../members";
import { usePresent } from "../api/get-present";
import { useVersion } from "../api/get-version";
import { useVersions } from "../api/list-versions";
import { RestoreButton } from "./restore-button";
import { VersionChanges, VersionText } from "./version-cells";
import "./versions.css";

interface Props {
  workspaceId: string;
  notebookId: string;
}

export function VersionsPage({ workspaceId, notebookId }: Props) {
  const present = usePresent(workspaceId, notebookId);
  const versions = useVersions(workspaceId, notebookId);
  const [wanted, setWanted] = useState<bigint>();
  if (present.isPending || versions.loading) return <Loading what="the versions" />;
  if (present.isError) return <ProblemNotice error={present.error} onRetry={() => void present.refetch()} />;
  // The one before the present, where there is one: what changed last is what people ask first. It stays when others save.
  if (wanted === undefined && versions.items[0]) setWanted((versions.items[1] ?? versions.items[0]).version);
  return (
    <div className="stack">
      <div className="page-head">
        <h1>Versions of {present.data.title || "Untitled"}</h1>
        <Link href={`/w/${workspaceId}/notebooks/${notebookId}`}>Back to the notebook</Link>
      </div>
      {versions.error && <ProblemNotice error={versions.error} onRetry={versions.again} />}
      <div className="versions">
        <nav className="versions__list" aria-label="Versions, newest first">
          <ol className="list">
            {versions.items.map((version) => (
              <VersionRow
                key={String(version.version)}
                workspaceId={workspaceId}
                version={version}
                chosen={version.version === wanted}
                onChoose={setWanted}
              />
            ))}
          </ol>
          {versions.more && (
            <Button busy={versions.loadingMore} onClick={versions.more}>
              Show more
            </Button>
          )}
        </nav>
        {wanted !== undefined && <VersionView key={String(wanted)} present={present.data} version={wanted} />}
      </div>
    </div>
  );
}

interface RowProps {
  workspaceId: string;
  version: NotebookVersion;
  chosen: boolean;
  onChoose: (version: bigint) => void;
}

function VersionRow({ workspaceId, version, chosen, onChoose }: RowProps) {
  const nameOf = usePersonName(workspaceId);
  const [now] = useState(Date.now);
  return (
    <li>
      <button
        type="button"
        className="versions__row"
        aria-current={chosen ? "true" : undefined}
        onClick={() => {
          onChoose(version.version);
        }}
      >
        <span className="list__title">Version {String(version.version)}</span>
        <span className="list__detail">{nameOf(version.createdBy)}</span>
        <time className="list__detail" dateTime={new Date(Number(version.createdAtMs)).toISOString()}>
          {formatTime(version.createdAtMs)} ({formatAgo(version.createdAtMs, now)})
        </time>
      </button>
    </li>
  );
}

function VersionView({ present, version }: { present: Notebook; version: bigint }) {
  const found = useVersion(present.workspaceId, present.id, version);
  if (found.isPending) return <Loading what={`version ${version}`} />;
  if (found.isError) return <ProblemNotice error={found.error} onRetry={() => void found.refetch()} />;
  return (
    <section className="stack" aria-label={`Version ${version}`}>
      <div className="page-head">
        <h2>Version {String(version)}</h2>
        <RestoreButton present={present} version={version} />
      </div>
      <Tabs
        label="Ways to look at the version"
        tabs={[
          { name: "Compared with now", content: <VersionChanges before={found.data} now={present} /> },
          { name: "As it was", content: <VersionText version={found.data} /> },
        ]}
      />
    </section>
  );
}
