import { Text } from "@codemirror/state";
import { expect, test } from "vitest";
import { codePoints, unitsOf } from "./assistance";
import { fieldsOf, writeField } from "../../../shared/schema-form";
import { diagnosticsOf, marksOf } from "./marks";
import { type Press, pressed } from "./keys";

const press = (key: string, more: Partial<Press> = {}): Press => ({
  key,
  shiftKey: false,
  ctrlKey: false,
  altKey: false,
  metaKey: false,
  ...more,
});

test("two keys delete a cell, one does not", () => {
  const first = pressed(press("d"), "");
  expect([first.shortcut, first.waiting]).toEqual([undefined, "d"]);
  expect(pressed(press("d"), first.waiting).shortcut?.help).toBe("Delete the cell");
  expect(pressed(press("j"), first.waiting).shortcut?.help).toBe("Cell below");
});

test("modifiers make another key", () => {
  expect(pressed(press("Enter"), "").shortcut?.help).toBe("Edit the cell");
  expect(pressed(press("Enter", { shiftKey: true }), "").shortcut?.help).toBe("Run the cell and go to the next");
  expect(pressed(press("c", { ctrlKey: true }), "").shortcut).toBeUndefined();
});

test("positions go between code points and UTF-16 units", () => {
  const text = "😀x = 1";
  expect(codePoints(text, 3)).toBe(2);
  expect(unitsOf(text, 2)).toBe(3);
});

test("a schema becomes controls", () => {
  const schema = {
    type: "object",
    required: ["url"],
    properties: {
      url: { type: "string", title: "URL" },
      method: { enum: ["GET", "POST"], default: "GET" },
      headers: { type: "object" },
      retry: { type: ["integer", "null"] },
    },
  };
  expect(fieldsOf(JSON.stringify(schema)).map(({ name, kind, required }) => [name, kind, required])).toEqual([
    ["url", "text", true],
    ["method", "choice", false],
    ["headers", "json", false],
    ["retry", "number", false],
  ]);
});

test("the compiler's places are marked in the text, in code points, and never outside it", () => {
  const violations = [
    { field: "cell.source:2:3", description: "wrong" },
    { field: "cell.source:9", description: "gone" },
    { field: "cell.fields.url", description: "missing" },
  ];
  const marks = marksOf({ reason: 0, text: "", advice: "", metadata: {}, violations });
  const text = Text.of(["a = 1", "😀 name"]);
  expect(diagnosticsOf(text, marks).map(({ from, to, message }) => [text.sliceString(from, to), message])).toEqual([
    ["name", "wrong"],
    ["😀".slice(0, 1), "gone"],
  ]);
});

test("a field that is emptied goes away", () => {
  expect(writeField('{"a":1,"b":2}', "a", undefined)).toBe('{"b":2}');
  expect(writeField('{"a":1}', "a", undefined)).toBe("");
});
