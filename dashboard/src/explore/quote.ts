/** Names and values as SQL: whatever they hold, they stay names and values. Pure. */

import type { Column } from "../format/cell";

/** A column by its exact name: capitals, spaces, quotes and all. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function textLiteral(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/** A moment, in milliseconds since 1970. */
export function instant(ms: number): string {
  return `TIMESTAMP '${new Date(ms).toISOString()}'`;
}

/** A value of a column, from its text. What is no value of the column's type is compared as text. */
export function literal(value: string, column: Pick<Column, "kind" | "dataType">): string {
  switch (column.kind) {
    case "number":
      if (/^-?\d+$/.test(value)) return value;
      return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value) ? `CAST(${textLiteral(value)} AS DOUBLE)` : textLiteral(value);
    case "boolean":
      return value === "true" || value === "false" ? value : textLiteral(value);
    case "time":
      if (/^date/i.test(column.dataType)) return `DATE ${textLiteral(value)}`;
      return `TIMESTAMP ${textLiteral(value)}`;
    case "text":
    case "other":
      return textLiteral(value);
  }
}
