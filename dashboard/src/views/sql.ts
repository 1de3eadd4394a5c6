/** SQL that the page writes itself: pure. */

import type { Query } from "./query";

/** A text as SQL has it. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** A request for the rows of a statement; of the archive as it was at a version, where one is named. */
export function sqlQuery(sql: string, limit: number, version?: number): Query {
  const body = { sql, limit, ...(version === undefined ? {} : { version }) };
  return { path: "/api/sql", init: { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } };
}
