/** A table as the kernel sends it (application/vnd.spin.table.v1+json), and what a person does with it: filter, sort, export. Pure. */
import { objectOf, textOf } from "./items";

export interface Column {
  readonly name: string;
  readonly type: string;
}

export type Row = readonly unknown[];

export interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  /** Rows that there were; the table holds the first of them when it was truncated. */
  readonly total: number;
  readonly truncated: boolean;
}

export interface Sorting {
  readonly column: number;
  readonly descending: boolean;
}

export function readTable(value: unknown): Table | undefined {
  const { columns, rows, total, truncated } = objectOf(value);
  if (!Array.isArray(columns) || !Array.isArray(rows)) return undefined;
  const names = columns.map(objectOf).map(({ name, type }) => ({ name: textOf(name), type: textOf(type) }));
  const lists = rows.map((row: unknown): Row =>
    Array.isArray(row) ? row : names.map(({ name }) => objectOf(row)[name]),
  );
  return {
    columns: names,
    rows: lists,
    total: typeof total === "number" ? total : lists.length,
    truncated: truncated === true,
  };
}

export function arranged(table: Table, filter: string, sorting: Sorting | undefined): readonly Row[] {
  const wanted = filter.trim().toLowerCase();
  const kept = wanted
    ? table.rows.filter((row) => row.some((value) => cellText(value).toLowerCase().includes(wanted)))
    : table.rows;
  if (!sorting) return kept;
  const { column, descending } = sorting;
  const sign = descending ? -1 : 1;
  return kept.toSorted((a, b) => compared(a[column], b[column], sign));
}

/** Missing values come last in either direction. */
function compared(a: unknown, b: unknown, sign: number): number {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return Number(noA) - Number(noB);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * cellText(a).localeCompare(cellText(b), undefined, { numeric: true });
}

export function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "object") return JSON.stringify(value);
  return String(value as string | number | boolean | bigint);
}

/** RFC 4180. A text that a spreadsheet would run as a formula is marked as text. */
export function toCsv(columns: readonly Column[], rows: readonly Row[]): string {
  const lines = [columns.map((column) => column.name), ...rows];
  return lines.map((line) => line.map(csvField).join(",")).join("\r\n") + "\r\n";
}

function csvField(value: unknown): string {
  const text = cellText(value);
  const harmless = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
