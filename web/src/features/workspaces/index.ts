export { useWorkspaces } from "./api/list-workspaces";
export { useWatchWorkspace } from "./api/watch-workspace";
export { WorkspacesPage } from "./components/workspaces-page";
