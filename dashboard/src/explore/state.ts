/** What the page explores, and how the address says it: a link shows the same thing. Pure. */

import type { Changes } from "../shell/route";
import { ALL, PRESETS, type PresetId, type Range } from "./range";

export const AGGREGATES = ["sum", "avg", "min", "max", "count"] as const;
export type Aggregate = (typeof AGGREGATES)[number];

/** A value of a dimension as text; null for rows that have none. */
export type Value = string | null;

/** Which values of a dimension count: these, or all but these. */
export interface Filter {
  column: string;
  mode: "in" | "not";
  values: Value[];
}

export interface ExploreState {
  range: Range;
  aggregate: Aggregate;
  /** Column that the dimensions are ranked by; null: by rows. */
  by: string | null;
  compare: boolean;
  filters: Filter[];
  /** Another time than the table's own. */
  time: string | null;
}

const NULL = "\\N";

export function parseState(query: Readonly<Record<string, string>>): ExploreState {
  return {
    range: parseRange(query),
    aggregate: AGGREGATES.find((name) => name === query["agg"]) ?? "sum",
    by: query["by"] ?? null,
    compare: query["compare"] === "1",
    time: query["time"] ?? null,
    filters: Object.entries(query).flatMap(([name, text]): Filter[] => {
      const [mode = "", ...rest] = name.split(".");
      const column = rest.join(".");
      if ((mode !== "in" && mode !== "not") || column === "") return [];
      return [{ column, mode, values: parseValues(text) }];
    }),
  };
}

function parseRange(query: Readonly<Record<string, string>>): Range {
  const from = Date.parse(query["from"] ?? "");
  const to = Date.parse(query["to"] ?? "");
  if (from < to) return { kind: "custom", from, to };
  const preset = PRESETS.find(({ id }) => id === query["range"]);
  return preset === undefined ? ALL : { kind: "preset", id: preset.id };
}

export function presetChanges(id: PresetId): Changes {
  return { range: id === "all" ? null : id, from: null, to: null };
}

export function customChanges(from: number, to: number): Changes {
  return { range: null, from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

/** A click on a value: it counts, or no longer; with another mode the values before leave. */
export function toggled(filters: readonly Filter[], column: string, mode: Filter["mode"], value: Value): Changes {
  const now = filters.find((filter) => filter.column === column);
  const values = now?.mode === mode ? now.values : [];
  const next = values.includes(value) ? values.filter((one) => one !== value) : [...values, value];
  return filterChanges({ column, mode, values: next });
}

/** The parameters of a filter; without values there is none. */
export function filterChanges({ column, mode, values }: Filter): Changes {
  const other = mode === "in" ? "not" : "in";
  return { [`${mode}.${column}`]: values.length === 0 ? null : formatValues(values), [`${other}.${column}`]: null };
}

export function noFilters(filters: readonly Filter[]): Changes {
  return Object.fromEntries(filters.map(({ mode, column }) => [`${mode}.${column}`, null]));
}

/** Values in one text: parted by commas; `\,` and `\\` stand for themselves, `\N` for no value, `\E` for the empty text. */
export function formatValues(values: readonly Value[]): string {
  return values.map((value) => (value === null ? NULL : value === "" ? "\\E" : value.replaceAll("\\", "\\\\").replaceAll(",", "\\,"))).join(",");
}

export function parseValues(text: string): Value[] {
  const parts = text.match(/(?:\\.|[^,\\])+/gs) ?? [];
  return parts.map((part) => (part === NULL ? null : part === "\\E" ? "" : part.replaceAll(/\\(.)/gs, "$1")));
}
