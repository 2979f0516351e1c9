import { type Transport, createClient } from "@connectrpc/connect";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";

interface Order {
  workspaceId: string;
  notebookId: string;
  cellId: string;
  outputsJson: string;
  executionCount: number | undefined;
}

const LIMIT = 2 * 1024 * 1024;

/** Keeps what the last run printed with the notebook. Very long outputs stay in the session's history alone. */
export async function saveCellOutputs(transport: Transport, order: Order): Promise<boolean> {
  if (order.outputsJson.length > LIMIT) return false;
  const { executionCount, ...rest } = order;
  const counted = executionCount === undefined ? rest : { ...rest, executionCount };
  await createClient(NotebookService, transport).saveCellOutputs(counted);
  return true;
}
