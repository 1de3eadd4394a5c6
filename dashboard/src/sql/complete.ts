/** What the editor proposes: tables, columns, functions. Pure. */

import type { TableInfo } from "../api/types";
import { identifier } from "../explore/quote";
import { typeName } from "./frame";

export interface Proposal {
  label: string;
  /** What is put in, where that is not the label: a name that needs quotes. */
  apply?: string;
  detail: string;
  type: string;
}

/** Names that SQL takes without quotes. */
const PLAIN = /^[a-z_][a-z0-9_]*$/;
const RESERVED = new Set(["all", "and", "as", "asc", "between", "by", "case", "cast", "cross", "desc", "distinct", "else", "end", "exists", "false", "from", "full", "group", "having", "in", "inner", "interval", "is", "join", "left", "like", "limit", "natural", "not", "null", "offset", "on", "or", "order", "outer", "over", "partition", "right", "select", "set", "table", "then", "true", "union", "unnest", "using", "values", "when", "where", "window", "with"]);

export function nameInSql(name: string): string {
  return PLAIN.test(name) && !RESERVED.has(name) ? name : identifier(name);
}

export function proposal(name: string, detail: string, type: string): Proposal {
  const apply = nameInSql(name);
  return apply === name ? { label: name, detail, type } : { label: name, apply, detail, type };
}

/** Tables with their columns, by the name that SQL has for the table. */
export function schemaOf(tables: readonly TableInfo[]): { table: Proposal; columns: Proposal[] }[] {
  return tables.map((table) => ({
    table: proposal(table.name, table.kind, "type"),
    columns: table.columns.map((column) => proposal(column.name, typeName(column.data_type), "property")),
  }));
}

/** All columns once, for where no table is named yet. */
export function allColumns(tables: readonly TableInfo[]): Proposal[] {
  const known = new Map<string, Proposal>();
  for (const { columns } of schemaOf(tables)) for (const column of columns) if (!known.has(column.label)) known.set(column.label, column);
  return [...known.values()];
}

const FUNCTIONS = ["abs", "approx_distinct", "approx_median", "approx_percentile_cont", "array_agg", "array_length", "avg", "bool_and", "bool_or", "ceil", "coalesce", "concat", "corr", "count", "date_bin", "date_part", "date_trunc", "dense_rank", "extract", "first_value", "floor", "greatest", "lag", "last_value", "lead", "least", "length", "ln", "lower", "max", "median", "min", "now", "nullif", "power", "rank", "regexp_like", "regexp_match", "regexp_replace", "replace", "round", "row_number", "split_part", "sqrt", "stddev", "string_agg", "strpos", "substr", "sum", "to_char", "to_timestamp", "trim", "upper", "var_pop"];

export function functions(): Proposal[] {
  return FUNCTIONS.map((name) => ({ label: name, apply: `${name}(`, detail: "function", type: "function" }));
}

/** Where a place of the server's (line and column from 1, in characters) is in a text. */
export function offsetOf(text: string, line: number, column: number): number {
  const lines = text.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  const inLine = [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
  return Math.min(before + inLine, text.length);
}
