/** From the rows of the answers to what is drawn. Pure. */

import type { Column } from "../format/cell";
import { numberOf, type Result } from "../views/result";
import { isCountable } from "./fields";
import { bucketsOf, type Span, type Step } from "./range";
import type { Aggregate, Value } from "./state";

export interface Side {
  rows: number;
  /** Rows that have a time. */
  timed: number;
  first: number | null;
  last: number | null;
}

/** Where the rows of both sides of the border stand in time. */
export interface Bounds {
  archive: Side;
  live: Side;
}

export function boundsOf(result: Result): Bounds {
  const side = (name: string): Side => {
    const row = result.rows.find(([side]) => side === name) ?? [];
    return { first: numberOf(row[1]), last: numberOf(row[2]), rows: numberOf(row[3]) ?? 0, timed: numberOf(row[4]) ?? 0 };
  };
  return { archive: side("archive"), live: side("live") };
}

/** All times of both sides; null when no row has one. Its end is the full second behind the newest. */
export function dataSpan({ archive, live }: Bounds): Span | null {
  const times = [archive.first, archive.last, live.first, live.last].filter((time) => time !== null);
  if (times.length === 0) return null;
  return { from: Math.floor(Math.min(...times)), to: (Math.floor(Math.max(...times) / 1000) + 1) * 1000 };
}

export interface Bucket {
  at: number;
  rows: number;
  /** Those among them that only the live table has. */
  unarchived: number;
  /** One for each measure; null where no row has a value. */
  values: (number | null)[];
}

export interface Overview {
  /** All of the span, also the empty ones. */
  buckets: Bucket[];
  /** Over all rows, also those without a time. */
  rows: number;
  unarchived: number;
  values: (number | null)[];
}

/** Folds the answer of `overviewSql`. */
export function overviewOf(result: Result, span: Span, step: Step, measures: number, aggregate: Aggregate): Overview {
  const width = aggregate === "avg" ? 2 : 1;
  const parts = result.rows.map((row) => ({
    at: numberOf(row[0]),
    rows: numberOf(row[1]) ?? 0,
    unarchived: numberOf(row[2 + measures * width]) ?? 0,
    sums: Array.from({ length: measures }, (_one, index): Part => ({ value: numberOf(row[2 + index * width]), count: numberOf(row[3 + index * width]) ?? 0 })),
  }));
  const byStart = new Map(parts.map((part) => [part.at, part]));
  const buckets = bucketsOf(span, step).map((at): Bucket => {
    const part = byStart.get(at);
    if (part === undefined) return { at, rows: 0, unarchived: 0, values: Array.from({ length: measures }, () => null) };
    return { at, rows: part.rows, unarchived: part.unarchived, values: part.sums.map((sum) => finish([sum], aggregate)) };
  });
  return {
    buckets,
    rows: parts.reduce((sum, part) => sum + part.rows, 0),
    unarchived: parts.reduce((sum, part) => sum + part.unarchived, 0),
    values: Array.from({ length: measures }, (_one, index) =>
      finish(
        parts.flatMap((part) => part.sums[index] ?? []),
        aggregate,
      ),
    ),
  };
}

interface Part {
  value: number | null;
  count: number;
}

function finish(parts: readonly Part[], aggregate: Aggregate): number | null {
  const there = parts.filter((part): part is Part & { value: number } => part.value !== null);
  if (there.length === 0) return aggregate === "count" ? 0 : null;
  const values = there.map(({ value }) => value);
  const sum = values.reduce((total, value) => total + value, 0);
  switch (aggregate) {
    case "sum":
    case "count":
      return sum;
    case "avg":
      return sum / there.reduce((total, { count }) => total + count, 0);
    case "min":
      return values.reduce((least, value) => Math.min(least, value));
    case "max":
      return values.reduce((most, value) => Math.max(most, value));
  }
}

/** How many values each countable candidate has in the sample, and how many rows that has. */
export function profileOf(result: Result, candidates: readonly Column[]): { rows: number; distinct: Map<string, number> } {
  const row = result.rows[0] ?? [];
  const countable = candidates.filter(isCountable);
  return { rows: numberOf(row[0]) ?? 0, distinct: new Map(countable.map((column, index) => [column.name, numberOf(row[index + 1]) ?? 0])) };
}

export interface Leader {
  value: Value;
  now: number | null;
  before: number | null;
}

export interface Leaderboard {
  leaders: Leader[];
  /** Values of the dimension in all. */
  groups: number;
  /** Rows of all of them. */
  whole: number;
}

export function leaderboardOf(result: Result): Leaderboard {
  const at = (name: string): number => result.columns.findIndex((column) => column.name === name);
  const [value, now, before, groups, whole] = [at("value"), at("now"), at("before"), at("groups"), at("whole")];
  const column = result.columns[value];
  return {
    leaders: result.rows.map((row) => ({ value: valueText(row[value], column), now: numberOf(row[now]), before: before < 0 ? null : numberOf(row[before]) })),
    groups: numberOf(result.rows[0]?.[groups]) ?? 0,
    whole: numberOf(result.rows[0]?.[whole]) ?? 0,
  };
}

/** A value as filters and the address hold it. */
export function valueText(value: unknown, column: Column | undefined): Value {
  if (value === null || value === undefined) return null;
  if (column?.kind === "time" && typeof value === "number") {
    const text = new Date(value).toISOString();
    return text.endsWith("T00:00:00.000Z") ? text.slice(0, 10) : text;
  }
  return String(value);
}

/** By how much `now` differs from `before`, as a share of it; null where that says nothing. */
export function change(now: number | null, before: number | null): number | null {
  if (now === null || before === null || before === 0) return null;
  return (now - before) / Math.abs(before);
}
