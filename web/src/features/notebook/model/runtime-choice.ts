/** Which runtime a notebook runs on: what was chosen in this browser, else the workspace's default, else the first. */
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";

const key = (notebookId: string): string => `spin.runtime.${notebookId}`;

export function runtimeChoice(notebookId: string): string {
  return localStorage.getItem(key(notebookId)) ?? "";
}

export function keepRuntimeChoice(notebookId: string, runtimeId: string): void {
  localStorage.setItem(key(notebookId), runtimeId);
}

export function chosenRuntime(runtimes: readonly Runtime[], choice: string): Runtime | null {
  return (
    runtimes.find((runtime) => runtime.id === choice) ??
    runtimes.find((runtime) => runtime.isDefault) ??
    runtimes[0] ??
    null
  );
}
