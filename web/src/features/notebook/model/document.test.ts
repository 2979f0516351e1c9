import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { type Cell, CellSchema } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { type NotebookDocument, applyEdit, copyOf } from "./document";
import { chainFrom, chainsOf, runChains } from "./run-plan";

const cell = (id: string, more: Partial<Cell> = {}): Cell =>
  create(CellSchema, { id, cellType: "python", ...(more as object) });
const notebook = (...cells: Cell[]): NotebookDocument => ({ title: "T", cells, metadataJson: "" });
const ids = (document: NotebookDocument): string => document.cells.map(({ id }) => id).join("");

describe("edits", () => {
  const document = notebook(cell("a"), cell("b"), cell("c"));

  test("insert, move and delete keep the others in their order", () => {
    expect(ids(applyEdit(document, { kind: "insert", at: 1, cell: cell("x") }))).toBe("axbc");
    expect(ids(applyEdit(document, { kind: "move", cellId: "a", to: 2 }))).toBe("bca");
    expect(ids(applyEdit(document, { kind: "delete", cellId: "b" }))).toBe("ac");
  });

  test("what changes nothing gives the same document", () => {
    expect(applyEdit(document, { kind: "source", cellId: "a", source: "" })).toBe(document);
    expect(applyEdit(document, { kind: "move", cellId: "a", to: -1 })).toBe(document);
    expect(applyEdit(document, { kind: "source", cellId: "gone", source: "1" })).toBe(document);
  });

  test("an edit of one cell leaves the others as they are", () => {
    const edited = applyEdit(document, { kind: "source", cellId: "b", source: "1" });
    expect(edited.cells[0]).toBe(document.cells[0]);
    expect(edited.cells[1]?.source).toBe("1");
  });

  test("another type drops the fields and outputs of the old one", () => {
    const before = notebook(cell("a", { fieldsJson: "{}", outputsJson: "[]", source: "kept" }));
    const after = applyEdit(before, { kind: "type", cellId: "a", cellType: "sql" });
    expect(after.cells[0]).toMatchObject({ cellType: "sql", fieldsJson: "", outputsJson: "", source: "kept" });
  });

  test("a copy has its own id and no outputs", () => {
    expect(copyOf(cell("a", { outputsJson: "[1]", source: "s" }), "b")).toMatchObject({
      id: "b",
      outputsJson: "",
      source: "s",
    });
  });
});

describe("what runs after what", () => {
  const cells = [
    cell("a"),
    cell("b", { linked: true }),
    cell("m", { cellType: "markdown" }),
    cell("c", { linked: true }),
    cell("d"),
  ];
  const executable = ({ cellType }: Cell): boolean => cellType !== "markdown";
  const named = (chains: readonly (readonly Cell[])[]): string[] =>
    chains.map((chain) => chain.map(({ id }) => id).join(""));
  const running = async (fail: string): Promise<string> => {
    let ran = "";
    await runChains(chainsOf(cells, executable), ({ id }) => {
      ran += id;
      return Promise.resolve(id !== fail);
    });
    return ran;
  };

  test("linked cells belong to the one above, over cells that do not run", () => {
    expect(named(chainsOf(cells, executable))).toEqual(["abc", "d"]);
    expect(named([chainFrom(cells, "b", executable)])).toEqual(["bc"]);
    expect(named([chainFrom(cells, "d", executable)])).toEqual(["d"]);
  });

  test("an error stops the chain and nothing else", async () => {
    expect(await running("")).toBe("abcd");
    expect(await running("a")).toBe("ad");
    expect(await running("b")).toBe("abd");
  });

  test("a first cell that is linked runs", () => {
    expect(named(chainsOf([cell("a", { linked: true })], executable))).toEqual(["a"]);
  });
});
