/** Completion and help from a live session's kernel. */
import type { LiveSession } from "../../session";
import type { Assistance } from "./assistance";

const TYPES = "_jupyter_types_experimental";
const ESCAPES = /\u001b\[[0-9;]*[A-Za-z]/g;

export function assistanceOf(session: LiveSession): Assistance {
  return {
    async complete(code, cursor) {
      const { matches, cursorStart, cursorEnd, metadataJson } = await session.kernel.complete(code, cursor);
      return { matches, start: cursorStart, end: cursorEnd, types: typesOf(metadataJson) };
    },
    async inspect(code, cursor) {
      const { found, dataJson } = await session.kernel.inspect(code, cursor);
      return found ? plainOf(dataJson).replace(ESCAPES, "") : "";
    },
  };
}

function typesOf(metadataJson: Uint8Array): string[] {
  const types = jsonOf(metadataJson)[TYPES];
  return Array.isArray(types)
    ? types.map((entry: { type?: unknown }) => (typeof entry.type === "string" ? entry.type : ""))
    : [];
}

function plainOf(dataJson: Uint8Array): string {
  const text = jsonOf(dataJson)["text/plain"];
  return typeof text === "string" ? text : "";
}

function jsonOf(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.length === 0) return {};
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
