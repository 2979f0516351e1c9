/** What a cell shows: outputs of a run, put together from the kernel's messages in their order. Pure. */
import { fromBinary } from "@bufbuild/protobuf";
import { type Output, OutputBodySchema, OutputKind } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { NO_TEXT, type StreamText, appendText } from "./stream-text";

export type MimeBundle = Readonly<Record<string, unknown>>;

export interface StreamItem {
  readonly kind: "stream";
  readonly name: "stdout" | "stderr";
  readonly text: StreamText;
}
export interface DisplayItem {
  readonly kind: "display";
  readonly data: MimeBundle;
  readonly metadata: MimeBundle;
  readonly displayId: string;
  /** Set when it is the value of the cell's last expression. */
  readonly executionCount: number | undefined;
  readonly isResult: boolean;
}
export interface ErrorItem {
  readonly kind: "error";
  readonly name: string;
  readonly value: string;
  readonly traceback: readonly string[];
}
export interface TruncatedItem {
  readonly kind: "truncated";
  readonly text: string;
}
export type OutputItem = StreamItem | DisplayItem | ErrorItem | TruncatedItem;

export interface CellOutputs {
  readonly items: readonly OutputItem[];
  readonly executionCount: number | undefined;
  /** clear_output(wait=True) came: the next output replaces what stands. */
  readonly clearNext: boolean;
}

export const NO_OUTPUTS: CellOutputs = { items: [], executionCount: undefined, clearNext: false };

/** An update_display_data: it may concern any cell of the session. */
export interface DisplayUpdate {
  displayId: string;
  data: MimeBundle;
  metadata: MimeBundle;
}

export interface Message {
  kind: OutputKind;
  content: Record<string, unknown>;
}

export function messageOf(output: Output): Message {
  const body = fromBinary(OutputBodySchema, output.body);
  return { kind: output.kind, content: objectOf(parsed(body.content)) };
}

export function applyMessage(outputs: CellOutputs, { kind, content }: Message): CellOutputs {
  switch (kind) {
    case OutputKind.STREAM:
      return withText(outputs, content.name === "stderr" ? "stderr" : "stdout", textOf(content.text));
    case OutputKind.DISPLAY_DATA:
    case OutputKind.EXECUTE_RESULT:
      return withItem(outputs, displayOf(kind, content));
    case OutputKind.ERROR:
      return withItem(outputs, {
        kind: "error",
        name: textOf(content.ename),
        value: textOf(content.evalue),
        traceback: Array.isArray(content.traceback) ? content.traceback.map(textOf) : [],
      });
    case OutputKind.CLEAR_OUTPUT:
      return content.wait === true ? { ...outputs, clearNext: true } : { ...outputs, items: [], clearNext: false };
    case OutputKind.EXECUTE_INPUT:
      return { ...outputs, executionCount: numberOf(content.execution_count) ?? outputs.executionCount };
    case OutputKind.EXECUTE_REPLY:
      return withPages(outputs, content);
    case OutputKind.TRUNCATED:
      return withItem(outputs, { kind: "truncated", text: textOf(content.text) });
    case OutputKind.UPDATE_DISPLAY_DATA:
    // Changes displays of every cell: the session's reducer does it.
    case OutputKind.STATUS:
    case OutputKind.COMM_OPEN:
    case OutputKind.COMM_MSG:
    case OutputKind.COMM_CLOSE:
    case OutputKind.OTHER:
    case OutputKind.UNSPECIFIED:
      return outputs;
    default:
      kind satisfies never;
      // A newer runtime may know kinds that this page does not.
      return outputs;
  }
}

export function displayUpdateOf({ kind, content }: Message): DisplayUpdate | undefined {
  if (kind !== OutputKind.UPDATE_DISPLAY_DATA) return undefined;
  const displayId = displayIdOf(content);
  if (!displayId) return undefined;
  return { displayId, data: objectOf(content.data), metadata: objectOf(content.metadata) };
}

export function applyDisplayUpdate(outputs: CellOutputs, update: DisplayUpdate): CellOutputs {
  const concerned = outputs.items.some((item) => item.kind === "display" && item.displayId === update.displayId);
  if (!concerned) return outputs;
  const items = outputs.items.map((item) =>
    item.kind === "display" && item.displayId === update.displayId
      ? { ...item, data: update.data, metadata: update.metadata }
      : item,
  );
  return { ...outputs, items };
}

function withItem(outputs: CellOutputs, item: OutputItem): CellOutputs {
  return { ...outputs, items: outputs.clearNext ? [item] : [...outputs.items, item], clearNext: false };
}

function withText(outputs: CellOutputs, name: StreamItem["name"], text: string): CellOutputs {
  const last = outputs.clearNext ? undefined : outputs.items.at(-1);
  if (last?.kind === "stream" && last.name === name) {
    const items = [...outputs.items.slice(0, -1), { ...last, text: appendText(last.text, text) }];
    return { ...outputs, items };
  }
  return withItem(outputs, { kind: "stream", name, text: appendText(NO_TEXT, text) });
}

/** `name?` answers with a page of text: shown as an output. */
function withPages(outputs: CellOutputs, content: Record<string, unknown>): CellOutputs {
  const payload = Array.isArray(content.payload) ? content.payload.map(objectOf) : [];
  return payload
    .filter((entry) => entry.source === "page")
    .reduce((result, entry) => withItem(result, displayOf(OutputKind.DISPLAY_DATA, { data: entry.data })), outputs);
}

function displayOf(kind: OutputKind, content: Record<string, unknown>): DisplayItem {
  const isResult = kind === OutputKind.EXECUTE_RESULT;
  return {
    kind: "display",
    data: objectOf(content.data),
    metadata: objectOf(content.metadata),
    displayId: displayIdOf(content),
    executionCount: isResult ? numberOf(content.execution_count) : undefined,
    isResult,
  };
}

function displayIdOf(content: Record<string, unknown>): string {
  return textOf(objectOf(content.transient).display_id);
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    // The kernel wrote something that is not JSON: there is nothing to show of it.
    return {};
  }
}

export function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** nbformat allows a list of lines wherever it allows a text. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return Array.isArray(value) ? value.map(textOf).join("") : "";
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
