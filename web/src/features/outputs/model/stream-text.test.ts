import { describe, expect, test } from "vitest";
import { NO_TEXT, type StreamText, appendText, lineAt, lineCount, plainText } from "./stream-text";

const written = (...pieces: string[]): StreamText => pieces.reduce(appendText, NO_TEXT);
const shown = (...pieces: string[]): string => plainText(written(...pieces));

describe("text as a terminal shows it", () => {
  test("pieces join where they were cut", () => {
    expect(shown("a", "b\nc", "d\n")).toBe("ab\ncd\n");
  });

  test("a carriage return writes over the line", () => {
    expect(shown("10 %\r20 %\r", "30 %")).toBe("30 %");
  });

  test("what is longer than its successor stays visible behind it", () => {
    expect(shown("abcdef\rxy")).toBe("xycdef");
  });

  test("a carriage return and a newline in two pieces end the line", () => {
    expect(shown("line\r", "\nnext")).toBe("line\nnext");
  });

  test("a backspace takes a character back", () => {
    expect(shown("ab\b", "c")).toBe("ac");
  });

  test("an escape sequence may be cut in two", () => {
    expect(shown("\u001b[3", "1mred")).toBe("\u001b[31mred");
  });

  test("a line knows the colours that were on when it began", () => {
    const text = written("\u001b[31mred\nstill red\u001b[0m\nplain\n");
    expect(lineAt(text, 1)).toEqual({ text: "still red\u001b[0m", sgr: "\u001b[31m" });
    expect(lineAt(text, 2)).toBe("plain");
  });

  test("no line is lost or repeated over many pieces", () => {
    const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`);
    const text = lines.reduce((sofar, line) => appendText(sofar, `${line}\n`), NO_TEXT);
    expect(lineCount(text)).toBe(5000);
    expect(lineAt(text, 4321)).toBe("line 4321");
    expect(plainText(text)).toBe(`${lines.join("\n")}\n`);
  });

  test("what was appended before does not change", () => {
    const before = written("one\n");
    appendText(before, "two\n");
    expect(plainText(before)).toBe("one\n");
  });
});
