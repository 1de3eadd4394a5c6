/** The statements that were run in this browser, the last first. */

export interface Ran {
  sql: string;
  /** Milliseconds since 1970. */
  at: number;
  /** Rows of the answer; null when it failed or was cancelled. */
  rows: number | null;
  ms: number;
}

const KEY = "millstream.sql";
export const MOST = 60;
/** Statements longer than this would fill the browser's storage. */
const LONGEST = 20_000;

/** With one more; the same statement stands there once. */
export function remembered(history: readonly Ran[], ran: Ran): Ran[] {
  if (ran.sql.trim() === "" || ran.sql.length > LONGEST) return [...history];
  return [ran, ...history.filter(({ sql }) => sql.trim() !== ran.sql.trim())].slice(0, MOST);
}

export function readHistory(storage: Pick<Storage, "getItem"> | null): Ran[] {
  try {
    const kept: unknown = JSON.parse(storage?.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter(isRan).slice(0, MOST) : [];
  } catch {
    return [];
  }
}

export function writeHistory(storage: Pick<Storage, "setItem"> | null, history: readonly Ran[]): void {
  try {
    storage?.setItem(KEY, JSON.stringify(history));
  } catch {
    // Storage is shut off or full: the history lives as long as the page.
  }
}

/** The browser's storage, where it may be used. */
export function browserStorage(): Storage | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

function isRan(value: unknown): value is Ran {
  return typeof value === "object" && value !== null && "sql" in value && typeof value.sql === "string" && "at" in value && typeof value.at === "number" && "rows" in value && "ms" in value;
}
