import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { CellSchema, NotebookSchema } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { cellChanges, cellText, summaryOf } from "./changes";

function notebook(title: string, ...cells: [id: string, source: string, fieldsJson?: string][]) {
  return create(NotebookSchema, {
    title,
    cells: cells.map(([id, source, fieldsJson = ""]) =>
      create(CellSchema, { id, source, fieldsJson, cellType: "python" }),
    ),
  });
}

function kinds(before: ReturnType<typeof notebook>, now: ReturnType<typeof notebook>): string[] {
  return cellChanges(before, now).map((change) => `${change.id} ${change.kind}${change.moved ? " moved" : ""}`);
}

test("a cell is matched by its id, whatever became of it", () => {
  const before = notebook("N", ["a", "1"], ["b", "2"], ["c", "3"]);
  const now = notebook("N", ["a", "1"], ["c", "33"], ["d", "4"]);
  expect(kinds(before, now)).toEqual(["a same", "b removed", "c changed", "d added"]);
  expect(summaryOf(before, now, cellChanges(before, now))).toBe(
    "1 cell changed, 1 cell added since, 1 cell removed since",
  );
});

test("one cell that was dragged down is the one that moved", () => {
  const before = notebook("N", ["a", "1"], ["b", "2"], ["c", "3"]);
  expect(kinds(before, notebook("N", ["b", "2"], ["c", "3"], ["a", "1"]))).toEqual([
    "b same",
    "c same",
    "a same moved",
  ]);
});

test("cells removed from the beginning and one after the other keep their order", () => {
  const before = notebook("N", ["a", "1"], ["b", "2"], ["c", "3"]);
  expect(kinds(before, notebook("N", ["c", "3"]))).toEqual(["a removed", "b removed", "c same"]);
  expect(kinds(before, notebook("N"))).toEqual(["a removed", "b removed", "c removed"]);
});

test("fields count, their order and the outputs do not", () => {
  const before = notebook("N", ["a", "", '{"url":"/x","method":"GET"}']);
  expect(kinds(before, notebook("N", ["a", "", '{"method":"GET","url":"/x"}']))).toEqual(["a same"]);
  expect(kinds(before, notebook("N", ["a", "", '{"method":"GET","url":"/y"}']))).toEqual(["a changed"]);
  expect(cellText(before.cells[0])).toBe('# method: "GET"\n# url: "/x"');
});

test("a new title alone is said", () => {
  const [before, now] = [notebook("Old", ["a", "1"]), notebook("New", ["a", "1"])];
  expect(summaryOf(before, now, cellChanges(before, now))).toBe("the title");
  expect(summaryOf(now, now, cellChanges(now, now))).toBe("nothing differs");
});
