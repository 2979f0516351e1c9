import { Suspense, lazy } from "react";
import { Redirect, Route, Switch } from "wouter";
import { ApiKeysPage } from "../features/api-keys";
import { ConnectionsPage } from "../features/connections";
import { HistoryPage, SessionHistoryPage } from "../features/history";
import { MembersPage } from "../features/members";
import { NotebooksPage } from "../features/notebooks";
import { SettingsPage } from "../features/policy";
import { RuntimesPage } from "../features/runtimes";
import { AccountPage, OIDC_PATH, OidcPage, SignInPage } from "../features/sign-in";
import { WorkspacesPage } from "../features/workspaces";
import { useSignedIn } from "../shared/api/context";
import { Empty, Loading } from "../shared/ui";
import { Shell } from "./shell";
import { WorkspaceFrame } from "./workspace-frame";

/** The editor is most of the code: it loads when a notebook is opened. */
const NotebookPage = lazy(() => import("../features/notebook").then((module) => ({ default: module.NotebookPage })));
const ApprovalsPage = lazy(() => import("../features/approvals").then((module) => ({ default: module.ApprovalsPage })));
const VersionsPage = lazy(() => import("../features/versions").then((module) => ({ default: module.VersionsPage })));

export function Routes() {
  const signedIn = useSignedIn();
  return signedIn ? <SignedInRoutes /> : <SignedOutRoutes />;
}

function SignedOutRoutes() {
  return (
    <Switch>
      <Route path={OIDC_PATH} component={OidcPage} />
      <Route component={SignInPage} />
    </Switch>
  );
}

function SignedInRoutes() {
  return (
    <Switch>
      <Route path="/sign-in/*?">
        <Redirect to="/" replace />
      </Route>
      <Route path="/">
        <Shell>
          <WorkspacesPage />
        </Shell>
      </Route>
      <Route path="/account">
        <Shell>
          <AccountPage />
        </Shell>
      </Route>
      <Route path="/w/:workspaceId/*?">
        {({ workspaceId }) => (
          <WorkspaceFrame workspaceId={workspaceId}>
            <WorkspaceRoutes />
          </WorkspaceFrame>
        )}
      </Route>
      <Route>
        <Shell>
          <NoSuchPage />
        </Shell>
      </Route>
    </Switch>
  );
}

function WorkspaceRoutes() {
  return (
    <Switch>
      <Route path="/w/:workspaceId/notebooks">{(params) => <NotebooksPage {...params} />}</Route>
      <Route path="/w/:workspaceId/notebooks/:notebookId">
        {(params) => (
          <Suspense fallback={<Loading what="the editor" />}>
            <NotebookPage key={params.notebookId} {...params} />
          </Suspense>
        )}
      </Route>
      <Route path="/w/:workspaceId/notebooks/:notebookId/versions">
        {(params) => (
          <Suspense fallback={<Loading what="the versions" />}>
            <VersionsPage key={params.notebookId} {...params} />
          </Suspense>
        )}
      </Route>
      <Route path="/w/:workspaceId/approvals">
        {(params) => (
          <Suspense fallback={<Loading what="the approvals" />}>
            <ApprovalsPage {...params} />
          </Suspense>
        )}
      </Route>
      <Route path="/w/:workspaceId/runtimes">{(params) => <RuntimesPage {...params} />}</Route>
      <Route path="/w/:workspaceId/connections">{(params) => <ConnectionsPage {...params} />}</Route>
      <Route path="/w/:workspaceId/members">{(params) => <MembersPage {...params} />}</Route>
      <Route path="/w/:workspaceId/api-keys">{(params) => <ApiKeysPage {...params} />}</Route>
      <Route path="/w/:workspaceId/settings">{(params) => <SettingsPage {...params} />}</Route>
      <Route path="/w/:workspaceId/history">{(params) => <HistoryPage {...params} />}</Route>
      <Route path="/w/:workspaceId/history/:sessionId">{(params) => <SessionHistoryPage {...params} />}</Route>
      <Route path="/w/:workspaceId">{(params) => <Redirect to={`/w/${params.workspaceId}/notebooks`} replace />}</Route>
      <Route>
        <NoSuchPage />
      </Route>
    </Switch>
  );
}

function NoSuchPage() {
  return <Empty title="There is no such page" actions={<a href="/">Go to your workspaces</a>} />;
}
