/** The ledger as terms that add up: `rows = delivered + rejected + deduplicated + filtered + unread + in_flight`. */

import type { FileLedger, FileState, LedgerCounts } from "../api/types";

export type TermKey = Exclude<keyof LedgerCounts, "rows">;

export interface Term {
  key: TermKey;
  label: string;
  rows: number;
}

const LABELS: Record<TermKey, string> = {
  delivered: "delivered",
  rejected: "rejected",
  deduplicated: "duplicates",
  filtered: "filtered",
  unread: "unread",
  in_flight: "in flight",
};

const ORDER: readonly TermKey[] = ["delivered", "rejected", "deduplicated", "filtered", "unread", "in_flight"];

export function terms(counts: LedgerCounts): Term[] {
  return ORDER.map((key) => ({ key, label: LABELS[key], rows: counts[key] }));
}

/** What is missing from the right side; 0 when it adds up, negative when there is too much. */
export function missing(counts: LedgerCounts): number {
  return counts.rows - terms(counts).reduce((sum, term) => sum + term.rows, 0);
}

/** Rows that have their outcome. */
export function settled({ rows, unread, in_flight }: LedgerCounts): number {
  return Math.max(0, rows - unread - in_flight);
}

/** Waiting files whose rows nobody has counted yet: until their footers are read, the total is not the whole. */
export function uncounted(files: readonly FileLedger[]): number {
  return files.filter((file) => file.state === "waiting" && file.rows === 0).length;
}

const STATE_ORDER: Record<FileState, number> = { quarantined: 0, reading: 1, published: 2, waiting: 3, done: 4 };

/** What needs a look first: quarantined, then under way, then waiting, then done; each in the order of publishing. */
export function byNeed(files: readonly FileLedger[]): FileLedger[] {
  return [...files].sort((left, right) => STATE_ORDER[left.state] - STATE_ORDER[right.state] || left.sequence - right.sequence);
}
