/**
 * Text as a terminal would show it, grown piece by piece.
 *
 * - A finished line never changes; lines are kept in chunks, so that appending copies one chunk and not the whole text.
 * - A carriage return writes over the line, a backspace takes a character back. Escape sequences may be cut anywhere between two pieces:
 *   the unfinished line is kept raw until its newline comes.
 * - A line remembers the colours that were on when it began, so that any line can be shown without the ones before it.
 */

const CHUNK = 512;

/** A plain string when no colour is on at its start. */
export type Line = string | { readonly text: string; readonly sgr: string };

export interface StreamText {
  readonly chunks: readonly (readonly Line[])[];
  readonly finished: number;
  /** The unfinished line: what is shown, and what came after its last carriage return. */
  readonly open: string;
  readonly over: string | undefined;
  readonly sgr: string;
  readonly length: number;
}

export const NO_TEXT: StreamText = { chunks: [], finished: 0, open: "", over: undefined, sgr: "", length: 0 };

export function appendText(text: StreamText, piece: string): StreamText {
  const pieces = piece.split("\n");
  let { open, over, sgr } = text;
  const fresh: Line[] = [];
  pieces.forEach((part, i) => {
    ({ open, over } = overwrite(open, over, part));
    if (i === pieces.length - 1) return;
    const shown = settled(open, over);
    fresh.push(sgr === "" ? shown : { text: shown, sgr });
    sgr = coloursAfter(sgr, shown);
    open = "";
    over = undefined;
  });
  return {
    chunks: fresh.length === 0 ? text.chunks : pushed(text.chunks, fresh),
    finished: text.finished + fresh.length,
    open,
    over,
    sgr,
    length: text.length + piece.length,
  };
}

/** How many lines there are to show; an empty unfinished line is none. */
export function lineCount(text: StreamText): number {
  return text.finished + (settled(text.open, text.over) === "" ? 0 : 1);
}

export function lineAt(text: StreamText, index: number): Line {
  if (index >= text.finished) {
    const shown = settled(text.open, text.over);
    return text.sgr === "" ? shown : { text: shown, sgr: text.sgr };
  }
  return text.chunks[Math.floor(index / CHUNK)]?.[index % CHUNK] ?? "";
}

/** The whole text with its colours, as a notebook file keeps it. */
export function plainText(text: StreamText): string {
  const lines = text.chunks.flat().map((line) => (typeof line === "string" ? line : line.text));
  lines.push(settled(text.open, text.over));
  return lines.join("\n");
}

function pushed(chunks: readonly (readonly Line[])[], fresh: readonly Line[]): (readonly Line[])[] {
  const result = [...chunks];
  const last = result.at(-1);
  let current: Line[] = last && last.length < CHUNK ? [...last] : [];
  if (last && last.length < CHUNK) result.pop();
  for (const line of fresh) {
    current.push(line);
    if (current.length === CHUNK) {
      result.push(current);
      current = [];
    }
  }
  if (current.length > 0) result.push(current);
  return result;
}

function overwrite(open: string, over: string | undefined, part: string): { open: string; over: string | undefined } {
  const [first = "", ...rest] = part.split("\r");
  if (over === undefined) open = erased(open + first);
  else over = erased(over + first);
  for (const next of rest) {
    open = settled(open, over);
    over = erased(next);
  }
  return { open, over };
}

/** What stands on the line when `over` was written from its beginning. */
function settled(open: string, over: string | undefined): string {
  if (over === undefined || over === "") return open;
  // Where colours or erasing are involved, places on the line and in the string differ: the new text replaces the old.
  if (over.length >= open.length || over.includes("\u001b") || open.includes("\u001b")) return over;
  return over + open.slice(over.length);
}

function erased(text: string): string {
  if (!text.includes("\b")) return text;
  let result = "";
  for (const character of text) result = character === "\b" ? result.slice(0, -1) : result + character;
  return result;
}

const SGR = /\u001b\[([\d;]*)m/g;

function coloursAfter(sgr: string, line: string): string {
  if (!line.includes("\u001b")) return sgr;
  let codes = sgr;
  for (const [sequence, parameters] of line.matchAll(SGR)) {
    const resets = parameters === "" || parameters === "0";
    codes = resets ? "" : (codes + sequence).slice(-256);
  }
  return codes.startsWith("\u001b") ? codes : codes.slice(Math.max(0, codes.indexOf("\u001b")));
}
