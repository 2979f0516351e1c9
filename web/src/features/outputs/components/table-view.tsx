import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState } from "react";
import { saveFile } from "../../../shared/files";
import { Button } from "../../../shared/ui";
import { type Sorting, type Table, arranged, cellText, toCsv } from "../model/table";

const ROW_PX = 28;
const NUMERIC = /int|float|number|decimal|double|uint/i;

export function TableView({ table }: { table: Table }) {
  const [filter, setFilter] = useState("");
  const [sorting, setSorting] = useState<Sorting>();
  const rows = useMemo(() => arranged(table, filter, sorting), [table, filter, sorting]);
  const sortBy = (column: number): void => {
    if (sorting?.column !== column) setSorting({ column, descending: false });
    else if (!sorting.descending) setSorting({ column, descending: true });
    else setSorting(undefined);
  };
  return (
    <div className="table">
      <div className="table__bar">
        <input
          className="input table__filter"
          type="search"
          placeholder="Filter rows"
          aria-label="Filter rows"
          value={filter}
          onChange={(event) => {
            setFilter(event.target.value);
          }}
        />
        <span className="list__detail" role="status">
          {countText(table, rows.length)}
        </span>
        <Button
          small
          onClick={() => {
            saveFile("table.csv", new Blob([toCsv(table.columns, rows)], { type: "text/csv" }));
          }}
        >
          Export CSV
        </Button>
      </div>
      <Grid table={table} rows={rows} sorting={sorting} onSort={sortBy} />
      {table.truncated && (
        <p className="table__truncated">
          Truncated: the first {table.rows.length.toLocaleString()} of {table.total.toLocaleString()} rows are here.
        </p>
      )}
    </div>
  );
}

function countText(table: Table, shown: number): string {
  const all = `${table.rows.length.toLocaleString()} rows × ${table.columns.length} columns`;
  return shown === table.rows.length ? all : `${shown.toLocaleString()} of ${all}`;
}

interface GridProps {
  table: Table;
  rows: Table["rows"];
  sorting: Sorting | undefined;
  onSort: (column: number) => void;
}

function Grid({ table, rows, sorting, onSort }: GridProps) {
  const frame = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library -- its functions read the scroll position
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
    initialRect: { width: 800, height: 360 },
  });
  const widths = useMemo(() => columnWidths(table), [table]);
  const template = widths.map((width) => `minmax(${width}ch, 1fr)`).join(" ");
  const columns = table.columns.map((column) => ({ ...column, numeric: NUMERIC.test(column.type) }));
  return (
    <div
      ref={frame}
      className="table__frame"
      role="table"
      aria-rowcount={rows.length + 1}
      aria-colcount={columns.length}
      tabIndex={0}
    >
      <div className="table__sheet">
        <div className="table__row table__row--head" role="row" style={{ gridTemplateColumns: template }}>
          {columns.map((column, i) => (
            <div
              key={i}
              role="columnheader"
              aria-sort={sortName(sorting, i)}
              className={column.numeric ? "table__number" : ""}
            >
              <button
                type="button"
                className="table__sort"
                title={column.type}
                onClick={() => {
                  onSort(i);
                }}
              >
                {column.name}{" "}
                <span aria-hidden="true">{sorting?.column === i ? (sorting.descending ? "▼" : "▲") : ""}</span>
              </button>
            </div>
          ))}
        </div>
        <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {virtual.getVirtualItems().map((item) => (
            <div
              key={item.index}
              role="row"
              aria-rowindex={item.index + 2}
              className="table__row table__row--body"
              style={{ gridTemplateColumns: template, transform: `translateY(${item.start}px)` }}
            >
              {columns.map((column, i) => {
                const value = rows[item.index]?.[i];
                return (
                  <div key={i} role="cell" className={column.numeric ? "table__number" : ""} title={cellText(value)}>
                    {value === null || value === undefined ? (
                      <span className="table__null">null</span>
                    ) : (
                      cellText(value)
                    )}
                  </div>
                );
              })}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

function sortName(sorting: Sorting | undefined, column: number): "ascending" | "descending" | "none" {
  if (sorting?.column !== column) return "none";
  return sorting.descending ? "descending" : "ascending";
}

/** Wide enough for the name and the first rows, within reason. */
function columnWidths(table: Table): number[] {
  return table.columns.map((column, i) => {
    const longest = table.rows.slice(0, 50).reduce((most, row) => Math.max(most, cellText(row[i]).length), 0);
    return Math.min(40, Math.max(column.name.length + 3, longest + 2, 6));
  });
}
