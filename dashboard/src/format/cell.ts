/** One value of a result, as a grid shows it. */

import { count, measure, NONE, utc } from "./format";

export type ColumnKind = "number" | "time" | "boolean" | "text" | "other";

export interface Column {
  name: string;
  /** Arrow type as text; empty when the server did not say. */
  dataType: string;
  kind: ColumnKind;
}

/** What a type is to a reader, from its Arrow text (`Timestamp(Microsecond, Some("UTC"))`, `Int64`, `Decimal128(10, 2)`). */
export function kindOf(dataType: string): ColumnKind {
  const type = dataType.toLowerCase();
  if (/^(timestamp|date)/.test(type)) return "time";
  if (/^(u?int|float|decimal|double)/.test(type)) return "number";
  if (/^bool/.test(type)) return "boolean";
  if (/utf8|string|dictionary/.test(type)) return "text";
  return type === "" ? "text" : "other";
}

/** Digits behind the point that suit all numbers of a column, so that they stand under one another; null for a column of whole numbers. */
export function sharedDigits(values: readonly unknown[]): number | null {
  let largest = 0;
  let whole = true;
  for (const value of values) {
    if (typeof value !== "number" || !Number.isFinite(value)) continue;
    largest = Math.max(largest, Math.abs(value));
    whole &&= Number.isInteger(value);
  }
  if (whole) return null;
  return largest >= 1 ? 2 : 4;
}

/**
 * The value as text; numbers with separators, except where the column is a name for things rather than a count.
 *
 * @param digits digits behind the point, when the whole column has the same
 */
export function cell(value: unknown, column: Column, digits: number | null = null): string {
  if (value === null || value === undefined) return NONE;
  if (column.kind === "time") return time(value, column.dataType);
  if (typeof value === "bigint") return count(Number(value));
  if (typeof value === "number" && isName(column.name)) return String(value);
  if (typeof value === "number" && digits !== null) return fixed(value, digits);
  if (typeof value === "number") return measure(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return column.kind === "number" ? numeric(value) : value;
  return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "bigint" ? Number(inner) : inner));
}

/** Columns that begin with `_` are the program's own: they come last and dim. */
export function isInternal(name: string): boolean {
  return name.startsWith("_");
}

/** The order in which a grid shows columns: the user's own first, each group as the result has it. */
export function gridOrder(columns: readonly Column[]): number[] {
  const indexes = columns.map((_column, index) => index);
  const internal = (index: number): boolean => isInternal(columns[index]?.name ?? "");
  return [...indexes.filter((index) => !internal(index)), ...indexes.filter(internal)];
}

/** Identifiers and years: `2020` there is not `2,020`. */
function isName(name: string): boolean {
  return /(^|_)(id|year|code|_row)$/i.test(name) || name === "_row";
}

function numeric(text: string): string {
  const value = Number(text);
  if (!Number.isFinite(value)) return text;
  const [, fraction = ""] = text.split(".");
  return fixed(value, fraction.length);
}

function fixed(value: number, digits: number): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function time(value: unknown, dataType: string): string {
  const ms = timeMs(value, dataType);
  return ms === null ? String(value) : utc(ms);
}

/** Milliseconds since 1970 of a time value, whether it came as text, as milliseconds or in the column's own unit; null when it is none. */
export function timeMs(value: unknown, dataType: string): number | null {
  if (typeof value === "string") {
    const zoned = /(z|[+-]\d\d:?\d\d)$/i.test(value) || !/\d\d:\d\d/.test(value) ? value : `${value.replace(" ", "T")}Z`;
    const ms = Date.parse(zoned);
    return Number.isNaN(ms) ? null : ms;
  }
  if (value instanceof Date) return value.getTime();
  if (typeof value !== "number" && typeof value !== "bigint") return null;
  const type = dataType.toLowerCase();
  const raw = Number(value);
  if (type.startsWith("date32")) return raw * 86_400_000;
  if (type.includes("nanosecond")) return raw / 1e6;
  if (type.includes("microsecond")) return raw / 1e3;
  if (type.includes("millisecond")) return raw;
  return type.includes("second") ? raw * 1e3 : raw;
}
