/** A query's answer, its values read when they are looked at: as many rows as the server gives. Pure. */

import { cell, timeMs, type Column } from "../format/cell";
import { NONE } from "../format/format";
import { numberOf, type Result } from "../views/result";

export interface FrameColumn extends Column {
  /** Its type as a reader says it: `timestamp (µs, UTC)`. */
  type: string;
}

export interface Frame {
  columns: FrameColumn[];
  length: number;
  /** Whether a limit cut rows off. */
  truncated: boolean;
  elapsedMs: number;
  bytes: number;
  value: (row: number, column: number) => unknown;
}

export interface Sorting {
  column: number;
  descending: boolean;
}

/** The order in which rows are shown; null as they came. What has no value is last either way, equal rows stay as they were. */
export function orderOf(frame: Frame, sorting: Sorting | null): Uint32Array | null {
  if (sorting === null) return null;
  const column = frame.columns[sorting.column];
  if (column === undefined) return null;
  const keys = Array.from({ length: frame.length }, (_row, row) => sortKey(frame.value(row, sorting.column), column));
  const sign = sorting.descending ? -1 : 1;
  return Uint32Array.from(keys.keys()).sort((left, right) => {
    const [one, other] = [keys[left] ?? null, keys[right] ?? null];
    if (one === null || other === null) return one === other ? left - right : one === null ? 1 : -1;
    return one < other ? -sign : one > other ? sign : left - right;
  });
}

function sortKey(value: unknown, column: Column): number | string | bigint | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint") return value;
  if (column.kind === "time") return timeMs(value, column.dataType);
  if (column.kind === "number") {
    if (typeof value === "number") return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
    return numberOf(value);
  }
  return typeof value === "string" ? value : typeof value === "boolean" ? Number(value) : text(value);
}

/** A value as the grid shows it. */
export function shown(value: unknown, column: Column, digits: number | null): string {
  return value === null || value === undefined ? "NULL" : cell(value, column, digits);
}

/** A value as it is copied: nothing rounded, nothing for none. */
export function copied(value: unknown, column: Column): string {
  if (value === null || value === undefined) return "";
  if (column.kind === "time") {
    const ms = timeMs(value, column.dataType);
    if (ms !== null && Math.abs(ms) <= 8.64e15) return new Date(ms).toISOString();
  }
  return text(value);
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "object") return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "bigint" ? inner.toString() : inner));
  return String(value as number);
}

/** Rows parted by tabs, as spreadsheets take them; tabs and line ends in values become spaces. */
export function tabbed(frame: Frame, order: Uint32Array | null, most: number): string {
  const clean = (value: string): string => value.replaceAll(/[\t\r\n]+/g, " ");
  const lines = [frame.columns.map(({ name }) => clean(name)).join("\t")];
  for (let at = 0; at < Math.min(frame.length, most); at += 1) {
    const row = order?.[at] ?? at;
    lines.push(frame.columns.map((column, index) => clean(copied(frame.value(row, index), column))).join("\t"));
  }
  return lines.join("\n");
}

/** The first rows as charts take them. */
export function resultOf(frame: Frame, most: number): Result {
  const rows = Array.from({ length: Math.min(frame.length, most) }, (_row, row) => frame.columns.map((_column, column) => frame.value(row, column)));
  return { columns: frame.columns, rows, truncated: frame.truncated || frame.length > most };
}

export function frameOf(result: Result, elapsedMs: number, bytes: number): Frame {
  return {
    columns: result.columns.map((column) => ({ ...column, type: typeName(column.dataType) })),
    length: result.rows.length,
    truncated: result.truncated,
    elapsedMs,
    bytes,
    value: (row, column) => result.rows[row]?.[column] ?? null,
  };
}

/** An Arrow type as a reader says it. */
export function typeName(dataType: string): string {
  const type = dataType.trim();
  const timestamp = /^timestamp[<(]\s*([a-zµ]+)\s*(?:,\s*(?:some\()?"?([^">)]*)"?\)?)?[>)]/i.exec(type);
  if (timestamp !== null) {
    const unit = { second: "s", millisecond: "ms", microsecond: "µs", nanosecond: "ns" }[(timestamp[1] ?? "").toLowerCase()] ?? timestamp[1] ?? "";
    const zone = (timestamp[2] ?? "").trim();
    return zone === "" || /^(none|null)$/i.test(zone) ? `timestamp (${unit})` : `timestamp (${unit}, ${zone === "+00:00" ? "UTC" : zone})`;
  }
  const list = /^(?:large|fixedsize)?list(?:view)?[<(]\s*(?:non-null |nullable )?([a-z0-9]+)/i.exec(type);
  if (list !== null) return `list of ${typeName(list[1] ?? "")}`;
  if (/^(large)?utf8(view)?$/i.test(type)) return "text";
  if (/^date/i.test(type)) return "date";
  if (/^bool/i.test(type)) return "boolean";
  return type.toLowerCase().replaceAll(/\s+/g, " ").replace(/^decimal\d+/, "decimal");
}

/** A message, and the long list that the planner puts behind some, apart. */
export function brief(text: string): { text: string; more: string | null } {
  const at = text.search(/\sValid fields are /);
  return at < 0 ? { text, more: null } : { text: text.slice(0, at), more: text.slice(at + 1) };
}

/** Widths of the columns in characters, from the names and the first rows. */
export function widthsOf(frame: Frame, rows = 200): number[] {
  return frame.columns.map((column, index) => {
    // Names are bold, and a sign may stand beside them.
    let widest = Math.max(column.name.length * 1.1 + 2, column.type.length * 0.85);
    for (let row = 0; row < Math.min(frame.length, rows); row += 1) widest = Math.max(widest, shown(frame.value(row, index), column, null).length);
    return Math.min(Math.max(widest, NONE.length + 4), 48);
  });
}
