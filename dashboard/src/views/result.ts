/** A query's answer, column by column, the same whether it came as Arrow or as JSON. */

import type { ColumnInfo, ResultColumn } from "../api/types";
import { kindOf, timeMs, type Column } from "../format/cell";

export interface Result {
  columns: Column[];
  /** Rows by row; times in milliseconds since 1970, decimals as text, 64-bit integers as numbers where exact. */
  rows: unknown[][];
  truncated: boolean;
}

export function resultColumn(column: ResultColumn): Column {
  const name = typeof column === "string" ? column : column.name;
  const dataType = typeof column === "string" ? "" : column.data_type;
  return { name, dataType, kind: kindOf(dataType) };
}

/** Columns that came by name alone, with the types that the table has for them. */
export function withTypes(columns: readonly ResultColumn[], table: readonly ColumnInfo[]): ResultColumn[] {
  const types = new Map(table.map((column) => [column.name, column.data_type]));
  return columns.map((column) => {
    const dataType = typeof column === "string" ? types.get(column) : undefined;
    return typeof column === "string" && dataType !== undefined ? { name: column, data_type: dataType } : column;
  });
}

/** Rows as the JSON answers and the `rows` event hold them. */
export function resultFromJson(columns: readonly ResultColumn[], rows: readonly unknown[][], truncated = false): Result {
  const parsed = columns.map(resultColumn);
  return {
    columns: parsed.map((column) => (column.kind === "time" ? { ...column, dataType: "Timestamp(Millisecond)" } : column)),
    rows: rows.map((row) =>
      row.map((value, index) => {
        const column = parsed[index];
        return column?.kind === "time" && value !== null ? (timeMs(value, column.dataType) ?? value) : value;
      }),
    ),
    truncated,
  };
}

/** A number to draw, or null for what is none. */
export function numberOf(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value !== "string" || value.trim() === "") return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}
