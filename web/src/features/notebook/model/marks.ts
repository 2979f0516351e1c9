/** Where in a cell's source the compiler found something: violations of the field "cell.source:line:column". */
import type { Text } from "@codemirror/state";
import type { Diagnostic } from "@codemirror/lint";
import type { Problem } from "../../../shared/api/problem";

export interface Mark {
  readonly line: number;
  /** From 1, in Unicode code points. */
  readonly column: number;
  readonly message: string;
}

export function marksOf(problem: Problem | undefined): readonly Mark[] {
  return (problem?.violations ?? []).flatMap(({ field, description }) => {
    const [, line, column] = /source:(\d+)(?::(\d+))?$/.exec(field) ?? [];
    return line === undefined ? [] : [{ line: Number(line), column: Number(column ?? 1), message: description }];
  });
}

/** A mark covers the word at its place, or the character. A place that the text no longer has is its end. */
export function diagnosticsOf(text: Text, marks: readonly Mark[]): Diagnostic[] {
  return marks.map(({ line, column, message }) => {
    const found = text.line(Math.min(Math.max(1, line), text.lines));
    const before = [...found.text].slice(0, Math.max(0, column - 1)).join("").length;
    const word = /^\w+/.exec(found.text.slice(before))?.[0].length ?? 1;
    const from = found.from + before;
    return { from, to: Math.min(found.to, from + word), severity: "error", message };
  });
}
