import { describe, expect, test } from "vitest";
import { arranged, readTable, toCsv } from "./table";

const table = readTable({
  columns: [
    { name: "path", type: "string" },
    { name: "count", type: "int64" },
  ],
  rows: [
    ["/b", 10],
    ["/a", 9],
    ["/c", null],
  ],
  total: 30,
  truncated: true,
});

describe("a table", () => {
  test("sorts numbers as numbers, missing ones last in both directions", () => {
    expect(table && arranged(table, "", { column: 1, descending: false }).map((row) => row[0])).toEqual([
      "/a",
      "/b",
      "/c",
    ]);
    expect(table && arranged(table, "", { column: 1, descending: true }).map((row) => row[0])).toEqual([
      "/b",
      "/a",
      "/c",
    ]);
  });

  test("keeps the rows that contain what was typed", () => {
    expect(table && arranged(table, " /A", undefined)).toEqual([["/a", 9]]);
  });

  test("says how much there was", () => {
    expect(table).toMatchObject({ total: 30, truncated: true });
  });

  test("exports CSV that a spreadsheet does not run", () => {
    const csv = toCsv([{ name: "a,b", type: "" }], [['say "hi"'], ["=1+1"], [-5]]);
    expect(csv).toBe('"a,b"\r\n"say ""hi"""\r\n\'=1+1\r\n-5\r\n');
  });

  test("is not made of something else", () => {
    expect(readTable({ rows: [] })).toBeUndefined();
  });
});
