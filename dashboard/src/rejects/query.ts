/** What the page of rejects asks, as SQL over `rejects`: pure. */

import { quoted } from "../views/sql";

export interface RejectFilter {
  rule: string | null;
  file: string | null;
  /** Milliseconds since 1970, from and to before. */
  time: { from: number; to: number } | null;
}

const timestamp = (ms: number): string => `TIMESTAMP '${new Date(ms).toISOString()}'`;

function conditions({ rule, file, time }: RejectFilter): string {
  const all = [
    file === null ? null : `_file = ${quoted(file)}`,
    time === null ? null : `ingested_at >= ${timestamp(time.from)} AND ingested_at < ${timestamp(time.to)}`,
    rule === null ? null : `array_has(rules, ${quoted(rule)})`,
  ].filter((one) => one !== null);
  return all.length === 0 ? "" : ` WHERE ${all.join(" AND ")}`;
}

/** Rows of each rule; the filter by rule does not count, so that another can be chosen. */
export function byRule(filter: RejectFilter): string {
  const where = conditions({ ...filter, rule: null });
  return `SELECT rule, count(*) AS rows FROM (SELECT unnest(rules) AS rule FROM rejects${where}) GROUP BY 1 ORDER BY 2 DESC, 1`;
}

/** Rows of each file; the filter by file does not count. */
export function byFile(filter: RejectFilter): string {
  return `SELECT _file AS file, count(*) AS rows FROM rejects${conditions({ ...filter, file: null })} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50`;
}

/** Rows over the time at which they came; the filter by time does not count. */
export function byTime(filter: RejectFilter, stepSeconds: number): string {
  return `SELECT date_bin(interval '${stepSeconds} seconds', ingested_at) AS at, count(*) AS rows FROM rejects${conditions({ ...filter, time: null })} GROUP BY 1 ORDER BY 1`;
}

/** When the first and the last came. */
export const SPAN = "SELECT min(ingested_at) AS first, max(ingested_at) AS last FROM rejects";

/** The newest rejects. */
export function newest(filter: RejectFilter, limit: number): string {
  return `SELECT _file, _row, ingested_at, rules, reasons, original FROM rejects${conditions(filter)} ORDER BY ingested_at DESC, _file DESC, _row DESC LIMIT ${limit}`;
}

const STEPS_SECONDS = [1, 5, 15, 60, 300, 900, 3600, 21_600, 86_400, 604_800];
const MOST_STEPS = 60;

/** The shortest step that makes no more bars than can be told apart. */
export function stepFor(spanMs: number): number {
  return STEPS_SECONDS.find((step) => spanMs / 1000 / step <= MOST_STEPS) ?? 2_592_000;
}
