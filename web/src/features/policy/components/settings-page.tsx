import { useState } from "react";
import type { WorkspacePolicy } from "../../../gen/spinapis/auth/v1/policy_pb";
import { formatTime } from "../../../shared/clock";
import { Loading, Notice, ProblemNotice } from "../../../shared/ui";
import { usePersonName, useStanding } from "../../members";
import { useWorkspaces } from "../../workspaces";
import { useWorkspacePolicy } from "../api/get-workspace-policy";
import type { News } from "../api/update-workspace-policy";
import { aboveIn, egressText, withheld } from "../model/policy-form";
import { PolicyForm } from "./policy-form";
import "./policy.css";

export function SettingsPage({ workspaceId }: { workspaceId: string }) {
  const policy = useWorkspacePolicy(workspaceId);
  const [news, setNews] = useState<News>();
  const whyNot = useStanding(workspaceId).refusal("workspace.manage");
  if (policy.isPending) return <Loading what="the settings" />;
  if (policy.isError) return <ProblemNotice error={policy.error} onRetry={() => void policy.refetch()} />;
  return (
    <div className="stack settings">
      <h1>Settings</h1>
      <section className="stack" aria-labelledby="policy-heading">
        <h2 id="policy-heading">Policy of the workspace</h2>
        <Counts policy={policy.data} />
        {whyNot && <p className="list__detail">{whyNot}</p>}
        {news === "overtaken" && <Overtaken policy={policy.data} />}
        {news === "saved" && (
          <Notice tone="ok" title="Saved">
            <span>
              Sessions that attach from now on start kernels with it; one attached already may start kernels by the old
              policy for up to an hour; what runs keeps what it was started with.
            </span>
          </Notice>
        )}
        <PolicyForm key={policy.data.etag} policy={policy.data} whyNot={whyNot} onNews={setNews} />
      </section>
    </div>
  );
}

/** What kernels get, whoever chose it. */
function Counts({ policy }: { policy: WorkspacePolicy }) {
  const workspaces = useWorkspaces().data ?? [];
  const nameOf = (id: string): string => workspaces.find((one) => one.id === id)?.name ?? "a workspace above";
  const above = [...new Set(aboveIn(policy).map(nameOf))];
  const less = withheld(policy);
  return (
    <dl className="policy__counts">
      <dt>Where kernels may connect to now</dt>
      <dd>
        {egressText(policy.effectiveEgress)}
        {above.length > 0 && (
          <span className="field__hint">
            Inherited from {above.join(", ")}. A workspace is never laxer than those above it.
          </span>
        )}
        {less && <span className="policy__less">{less}</span>}
      </dd>
    </dl>
  );
}

function Overtaken({ policy }: { policy: WorkspacePolicy }) {
  const nameOf = usePersonName(policy.workspaceId);
  return (
    <Notice tone="warn" title="Somebody changed the policy meanwhile">
      <span>
        {nameOf(policy.updatedBy)} did, {formatTime(policy.updatedAtMs)}. The newest is shown here, and yours was not
        saved: make your change again.
      </span>
    </Notice>
  );
}
