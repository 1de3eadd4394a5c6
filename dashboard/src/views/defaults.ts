/** What the page draws when the pipeline file has no `[[view]]`: rows per minute. */

import type { TableInfo, ViewInfo } from "../api/types";

/** The view, or null when `events` has no time of arrival. */
export function rowsPerMinute(tables: readonly TableInfo[]): ViewInfo | null {
  const events = tables.find((table) => table.name === "events");
  const time = ["ingested_at", "_ingested_at"].find((name) => events?.columns.some((column) => column.name === name));
  if (time === undefined) return null;
  return {
    name: "rows_per_minute",
    sql: `SELECT date_bin(interval '1 minute', ${time}) AS minute, count(*) AS rows FROM events GROUP BY 1 ORDER BY 1 DESC LIMIT 240`,
    chart: { kind: "bar", x: "minute", y: "rows", series: null },
  };
}
