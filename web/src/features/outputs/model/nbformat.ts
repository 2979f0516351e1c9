/** Outputs as a notebook file keeps them (nbformat 4.5), in both directions. */
import { type CellOutputs, type DisplayItem, NO_OUTPUTS, type OutputItem, objectOf, textOf } from "./items";
import { NO_TEXT, appendText, plainText } from "./stream-text";

export function outputsFromNbformat(json: string, executionCount: number | undefined): CellOutputs {
  if (!json) return NO_OUTPUTS;
  let list: unknown;
  try {
    list = JSON.parse(json);
  } catch {
    // What is kept there is not JSON: the cell shows no outputs, and its next run replaces them.
    return NO_OUTPUTS;
  }
  const items = Array.isArray(list) ? list.map(objectOf).flatMap(itemFrom) : [];
  return { items, executionCount, clearNext: false };
}

export function outputsToNbformat(outputs: CellOutputs): string {
  return JSON.stringify(outputs.items.map(itemTo));
}

function itemFrom(output: Record<string, unknown>): OutputItem[] {
  switch (output.output_type) {
    case "stream": {
      const name = output.name === "stderr" ? "stderr" : "stdout";
      const text = textOf(output.text);
      return [{ kind: "stream", name, text: appendText(NO_TEXT, text) }];
    }
    case "error": {
      const traceback = Array.isArray(output.traceback) ? output.traceback.map(textOf) : [];
      return [{ kind: "error", name: textOf(output.ename), value: textOf(output.evalue), traceback }];
    }
    case "display_data":
    case "execute_result":
      return [displayFrom(output)];
    default:
      return [];
  }
}

function displayFrom(output: Record<string, unknown>): DisplayItem {
  const isResult = output.output_type === "execute_result";
  const count = output.execution_count;
  return {
    kind: "display",
    data: objectOf(output.data),
    metadata: objectOf(output.metadata),
    displayId: "",
    executionCount: isResult && typeof count === "number" ? count : undefined,
    isResult,
  };
}

function itemTo(item: OutputItem): Record<string, unknown> {
  switch (item.kind) {
    case "stream":
      return { output_type: "stream", name: item.name, text: plainText(item.text) };
    case "error":
      return { output_type: "error", ename: item.name, evalue: item.value, traceback: item.traceback };
    case "truncated":
      return { output_type: "stream", name: "stderr", text: item.text };
    case "display":
      return item.isResult
        ? {
            output_type: "execute_result",
            data: item.data,
            metadata: item.metadata,
            execution_count: item.executionCount ?? null,
          }
        : { output_type: "display_data", data: item.data, metadata: item.metadata };
  }
}
