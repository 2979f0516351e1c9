import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { useWatchWorkspace, useWorkspaces } from "../features/workspaces";
import { Menu } from "../shared/ui";
import { Shell } from "./shell";

const PARTS = [
  { path: "notebooks", name: "Notebooks" },
  { path: "approvals", name: "Approvals" },
  { path: "runtimes", name: "Runtimes" },
  { path: "connections", name: "Connections" },
  { path: "members", name: "Members" },
  { path: "api-keys", name: "API keys" },
  { path: "history", name: "History" },
  { path: "settings", name: "Settings" },
];

/** What every page of a workspace stands in: its name, its parts, and the watch for what others change. */
export function WorkspaceFrame({ workspaceId, children }: { workspaceId: string; children: ReactNode }) {
  useWatchWorkspace(workspaceId);
  return <Shell navigation={<Navigation workspaceId={workspaceId} />}>{children}</Shell>;
}

function Navigation({ workspaceId }: { workspaceId: string }) {
  const [location, navigate] = useLocation();
  const workspaces = useWorkspaces();
  const here = workspaces.data?.find((workspace) => workspace.id === workspaceId);
  const items = (workspaces.data ?? []).map((workspace) => ({
    label: workspace.name,
    act: () => {
      navigate(`/w/${workspace.id}/notebooks`);
    },
  }));
  return (
    <>
      <Menu label="Change the workspace" align="start" items={items}>
        <span className="shell__workspace">{here?.name ?? "Workspace"}</span>
      </Menu>
      <nav className="shell__nav" aria-label="Parts of the workspace">
        {PARTS.map((part) => {
          const href = `/w/${workspaceId}/${part.path}`;
          const current = location === href || location.startsWith(`${href}/`);
          return (
            <Link key={part.path} href={href} className="shell__link" aria-current={current ? "page" : undefined}>
              {part.name}
            </Link>
          );
        })}
      </nav>
    </>
  );
}
