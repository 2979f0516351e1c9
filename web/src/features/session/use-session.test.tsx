import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";
import { problemOf } from "../../shared/api/problem";
import type { Runtime } from "../../gen/spinapis/workspace/v1/workspaces_pb";
import { SessionService } from "../../gen/spinapis/workspace/v1/notebooks_pb";
import { renderPage } from "../../testing/render";
import { memoryTransport } from "../../testing/transport";
import { useLiveSession } from "./use-session";

const RUNTIME = { id: "r", url: "http://localhost:1", workspaceId: "w" } as Runtime;
const transport = memoryTransport((router) => {
  router.service(SessionService, {
    listSessions: () => ({ sessions: [] }),
    openSession: () => ({ session: { id: "s" } }),
  });
});

/** A notebook's page as far as Run goes. */
function Page() {
  const [runtime, setRuntime] = useState<Runtime | null>();
  const [error, setError] = useState<unknown>();
  const [said, setSaid] = useState("");
  const handle = useLiveSession({ workspaceId: "w", notebookId: "n", runtime, runtimeError: error, kernelName: "" });
  const run = (): void => {
    handle.connect().then(
      (live) => {
        setSaid(`runs on ${live.identity.runtimeId}`);
      },
      (problem: unknown) => {
        setSaid(problemOf(problem).text);
      },
    );
  };
  return (
    <>
      <button onClick={run}>Run</button>
      <button onClick={() => setRuntime(RUNTIME)}>Loaded</button>
      <button onClick={() => setRuntime(null)}>None</button>
      <button onClick={() => setError(new Error("the list did not load"))}>Failed</button>
      <p role="status">{said}</p>
    </>
  );
}

const click = (name: string) => userEvent.click(screen.getByRole("button", { name }));

test("a click that comes before the list of runtimes runs when that is there", async () => {
  renderPage(<Page />, transport);
  await click("Run");
  expect(screen.getByRole("status").textContent).toBe("");
  await click("Loaded");
  expect(await screen.findByText("runs on r")).toBeTruthy();
});

test("without a runtime the click is answered, and the next one finds the runtime that was added", async () => {
  renderPage(<Page />, transport);
  await click("Run");
  await click("None");
  expect(await screen.findByText("This workspace has no runtime to run on.")).toBeTruthy();
  await click("Loaded");
  await click("Run");
  expect(await screen.findByText("runs on r")).toBeTruthy();
});

test("a list that does not load is said, and a later one is used", async () => {
  renderPage(<Page />, transport);
  await click("Run");
  await click("Failed");
  expect(await screen.findByText("the list did not load")).toBeTruthy();
  await click("Loaded");
  await click("Run");
  expect(await screen.findByText("runs on r")).toBeTruthy();
});
