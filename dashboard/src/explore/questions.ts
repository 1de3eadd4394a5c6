/** The SQL behind each panel. Pure. Every number is counted over `events`, where each row stands once. */

import type { Column } from "../format/cell";
import { isCountable } from "./fields";
import { identifier, instant, literal } from "./quote";
import { stepSql, type Span, type Step } from "./range";
import type { Aggregate, Filter } from "./state";

/** Which rows count. */
export interface Scope {
  /** Column of the time. */
  time: string;
  /** None: all rows, also those without a time. */
  span: Span | null;
  filters: readonly Filter[];
  /** Types of the columns that filters name. */
  columns: ReadonlyMap<string, Column>;
}

/** All rows of the table. */
export function everything(time: string): Scope {
  return { time, span: null, filters: [], columns: new Map() };
}

/** Rows of the sample that tells dimensions from names of rows. */
export const SAMPLE_ROWS = 100_000;

/**
 * First and last time on both sides of the border, where `archive` and `unarchived` together are `events`:
 * `side`, `first`, `last`, `rows`, `timed`.
 */
export function boundsSql(time: string): string {
  const t = identifier(time);
  const side = (name: string, table: string): string =>
    `SELECT '${name}' AS side, min(${t}) AS first, max(${t}) AS last, count(*) AS rows, count(${t}) AS timed FROM ${table}`;
  return `${side("archive", "archive")}\nUNION ALL ${side("live", "unarchived")}`;
}

/** About how many values each column has in a sample: `rows`, `d0`, `d1`, … in the order of the countable columns. */
export function profileSql(candidates: readonly Column[]): string {
  const countable = candidates.filter(isCountable).map((column) => identifier(column.name));
  const counts = countable.map((name, index) => `, approx_distinct(${name}) AS d${index}`).join("");
  return `SELECT count(*) AS rows${counts}\nFROM (SELECT ${countable.length === 0 ? "1" : countable.join(", ")} FROM events LIMIT ${SAMPLE_ROWS})`;
}

/**
 * Rows and measures by bucket: `bucket`, `rows`, `m0`, `m1`, …, `unarchived`; an average comes as `m0` (sum) and `c0` (values).
 */
export function overviewSql(scope: Scope, step: Step, measures: readonly Column[], aggregate: Aggregate): string {
  const bucket = stepSql(step, identifier(scope.time));
  const values = measures.map((column, index) => `, ${measureParts(column, aggregate, index)}`).join("");
  const where = whereSql(scope);
  return `SELECT e.*, coalesce(u.rows, 0) AS unarchived
FROM (SELECT ${bucket} AS bucket, count(*) AS rows${values} FROM events${where} GROUP BY 1) e
LEFT JOIN (SELECT ${bucket} AS bucket, count(*) AS rows FROM unarchived${where} GROUP BY 1) u
ON e.bucket IS NOT DISTINCT FROM u.bucket
ORDER BY 1`;
}

function measureParts(column: Column, aggregate: Aggregate, index: number): string {
  const name = identifier(column.name);
  if (aggregate === "avg") return `sum(${wide(column)}) AS m${index}, count(${name}) AS c${index}`;
  return `${aggregate}(${aggregate === "sum" ? wide(column) : name}) AS m${index}`;
}

/** Whole numbers are added up as floating point: a sum past 64 bits would wrap around. */
function wide(column: Column): string {
  return /^u?int/i.test(column.dataType) ? `CAST(${identifier(column.name)} AS DOUBLE)` : identifier(column.name);
}

/** What a dimension is ranked by. */
export function rankSql(by: Column | null, aggregate: Aggregate): string {
  if (by === null) return "count(*)";
  return aggregate === "sum" || aggregate === "avg" ? `${aggregate}(${wide(by)})` : `${aggregate}(${identifier(by.name)})`;
}

/**
 * The values of a dimension that rank highest: `value`, `now`, `before` (with a span before), `groups` (how many values there are)
 * and `whole` (rows of all of them). The dimension's own filter does not count here, so that more of its values can be chosen.
 */
export function leaderboardSql(scope: Scope, dimension: Column, rank: string, most: number, previous: Span | null): string {
  const others = { ...scope, filters: scope.filters.filter((filter) => filter.column !== dimension.name) };
  const name = identifier(dimension.name);
  const inner =
    previous === null || scope.span === null
      ? `SELECT ${name} AS value, ${rank} AS now, count(*) AS rows FROM events${whereSql(others)} GROUP BY 1`
      : comparedSql(others, name, rank, scope.span, previous);
  const compared = previous === null || scope.span === null ? "" : ", before";
  return `SELECT value, now${compared}, count(*) OVER () AS groups, sum(rows) OVER () AS whole
FROM (${inner})
ORDER BY now DESC NULLS LAST, value LIMIT ${most}`;
}

function comparedSql(scope: Scope, name: string, rank: string, span: Span, previous: Span): string {
  const t = identifier(scope.time);
  const now = `FILTER (WHERE ${t} >= ${instant(span.from)})`;
  const both = { ...scope, span: { from: previous.from, to: span.to } };
  return `SELECT ${name} AS value, ${rank} ${now} AS now, ${rank} FILTER (WHERE ${t} < ${instant(span.from)}) AS before, count(*) ${now} AS rows
FROM events${whereSql(both)} GROUP BY 1 HAVING count(*) ${now} > 0`;
}

/** ` WHERE …`, or nothing when all rows count. */
export function whereSql(scope: Scope): string {
  const t = identifier(scope.time);
  const conditions = scope.span === null ? [] : [`${t} >= ${instant(scope.span.from)} AND ${t} < ${instant(scope.span.to)}`];
  for (const filter of scope.filters) {
    const column = scope.columns.get(filter.column);
    // A filter over a column that is not there would be an error about a name that nobody typed.
    if (column !== undefined && filter.values.length > 0) conditions.push(filterSql(filter, column));
  }
  return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
}

function filterSql(filter: Filter, column: Column): string {
  const name = identifier(filter.column);
  const values = filter.values.filter((value) => value !== null).map((value) => literal(value, column));
  const hasNull = filter.values.includes(null);
  const list = `${name} ${filter.mode === "in" ? "IN" : "NOT IN"} (${values.join(", ")})`;
  if (filter.mode === "in") {
    if (values.length === 0) return `${name} IS NULL`;
    return hasNull ? `(${list} OR ${name} IS NULL)` : list;
  }
  // Rows without a value are not among those that are excluded, unless they are named.
  if (values.length === 0) return `${name} IS NOT NULL`;
  return hasNull ? `(${list} AND ${name} IS NOT NULL)` : `(${list} OR ${name} IS NULL)`;
}
