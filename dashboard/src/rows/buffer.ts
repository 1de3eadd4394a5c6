/** The newest rows that came in while the page was open: a few hundred of them, each once, newest first. Pure. */

import type { Result } from "../views/result";

export const KEPT_ROWS = 300;

/** The name of a row, `_file` and `_row`; null where the result does not have both. */
export function rowName(result: Result, row: readonly unknown[]): { file: string; row: number } | null {
  const file = row[result.columns.findIndex(({ name }) => name === "_file")];
  const number = row[result.columns.findIndex(({ name }) => name === "_row")];
  return typeof file === "string" && typeof number === "number" ? { file, row: number } : null;
}

/** `kept` with the rows of `newest` that it does not have yet in front; other columns begin anew. */
export function collected(kept: Result | null, newest: Result): Result {
  const same = kept !== null && kept.columns.length === newest.columns.length && kept.columns.every(({ name, dataType }, index) => name === newest.columns[index]?.name && dataType === newest.columns[index]?.dataType);
  if (!same) return newest;
  const key = (row: readonly unknown[]): string => {
    const name = rowName(newest, row);
    return name === null ? JSON.stringify(row) : `${name.row} ${name.file}`;
  };
  const known = new Set(kept.rows.map(key));
  const fresh = newest.rows.filter((row) => !known.has(key(row)));
  if (fresh.length === 0) return kept;
  return { ...newest, rows: [...fresh, ...kept.rows].slice(0, KEPT_ROWS) };
}
