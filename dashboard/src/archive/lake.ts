/** What the archive page draws, from the Delta log: pure. */

import type { ArchiveChange, ArchiveDetail, ArchiveFile } from "../api/detail";
import { bytes } from "../format/format";

export interface Growth {
  version: number;
  at: number;
  rows: number;
}

/** Rows after each version, oldest first: counted back from what there is now. */
export function growthOf({ rows, versions }: Pick<ArchiveDetail, "rows" | "versions">): Growth[] {
  let after = rows;
  const points = versions.map((change) => {
    const point = { version: change.version, at: Date.parse(change.at), rows: after };
    after = Math.max(0, after - change.rows);
    return point;
  });
  return points.reverse();
}

/** Rows as of a version; null when the log does not tell that far back. */
export function rowsAsOf(detail: Pick<ArchiveDetail, "rows" | "versions">, version: number): number | null {
  return growthOf(detail).find((point) => point.version === version)?.rows ?? null;
}

export interface SizeClass {
  text: string;
  files: number;
  bytes: number;
}

const CLASSES: readonly number[] = [64 * 1024, 1024 ** 2, 16 * 1024 ** 2, 64 * 1024 ** 2, 256 * 1024 ** 2];

/** Files by size. */
export function sizesOf(files: readonly Pick<ArchiveFile, "bytes">[]): SizeClass[] {
  const ends = [...CLASSES, Infinity];
  return ends.map((end, index) => {
    const begin = ends[index - 1] ?? 0;
    const within = files.filter((file) => file.bytes >= begin && file.bytes < end);
    const text = begin === 0 ? `under ${bytes(end)}` : end === Infinity ? `${bytes(begin)} and more` : `${bytes(begin)} to ${bytes(end)}`;
    return { text, files: within.length, bytes: within.reduce((sum, file) => sum + file.bytes, 0) };
  });
}

const OPERATIONS: Record<string, string> = { "CREATE TABLE": "made", WRITE: "rows", "ADD COLUMN": "new columns", OPTIMIZE: "compacted", DELETE: "deleted", "VACUUM START": "vacuum", "VACUUM END": "vacuum" };

/** What a version did, in a word. */
export function operationWord({ operation }: Pick<ArchiveChange, "operation">): string {
  return OPERATIONS[operation] ?? operation.toLowerCase();
}

/** The version that brought each column that came later than the table. */
export function columnVersions(versions: readonly ArchiveChange[]): Map<string, ArchiveChange> {
  const found = new Map<string, ArchiveChange>();
  for (const change of versions) for (const column of change.columns) found.set(column, change);
  return found;
}
