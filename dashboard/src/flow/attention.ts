/** What needs a person, and what waits: pure, from status and ledger. What failed comes first. */

import type { Ledger, Status } from "../api/types";
import { count, plural } from "../format/format";
import type { StageId } from "./stages";

export interface Concern {
  tone: "bad" | "warn";
  title: string;
  text: string;
  /** A file to open, or a stage. */
  opens: { file: string } | { stage: StageId };
}

export interface Waiting {
  rows: number;
  text: string;
  stage: StageId;
}

const NEARLY_FULL = 0.9;

export function concerns(status: Status, ledger: Ledger | null): Concern[] {
  const found: Concern[] = [];
  const { receive, table, stream } = status;
  if (receive.gaps > 0) found.push({ tone: "bad", title: `${plural(receive.gaps, "gap")} in the log`, text: "records are missing; `millstream verify` names the rows", opens: { stage: "receive" } });
  if (ledger !== null && !ledger.balanced) found.push({ tone: "bad", title: "The ledger does not add up", text: ledger.problems[0] ?? "", opens: { stage: "files" } });
  if (stream.trouble !== null) found.push({ tone: "bad", title: "The log does not answer", text: stream.trouble.what, opens: { stage: "log" } });
  for (const file of ledger?.files ?? []) {
    if (file.state !== "quarantined") continue;
    const unread = file.unread > 0 ? ` (${plural(file.unread, "row")} of it unread)` : "";
    found.push({ tone: "warn", title: `Quarantined: ${file.file}${unread}`, text: file.reason ?? "no reason was told", opens: { file: file.file } });
  }
  if (table.limit_bytes > 0 && table.bytes / table.limit_bytes >= NEARLY_FULL) {
    found.push({ tone: "warn", title: "The live table is nearly full", text: "receiving waits until the archive holds more", opens: { stage: "table" } });
  }
  return found;
}

export function waiting(status: Status, uncounted: number): Waiting[] {
  const { source, stream, receive, table, clean, archive } = status;
  const all: Waiting[] = [
    { rows: Math.max(0, source.rows_total - source.rows_read), text: uncounted > 0 ? `rows to read, and ${plural(uncounted, "file")} not counted` : "rows to read", stage: "files" },
    { rows: receive.lag_rows, text: "rows in the log to receive", stage: "log" },
    { rows: table.rows_not_archived, text: "rows to archive", stage: "archive" },
    { rows: Math.max(0, clean.rejected - archive.reject_rows), text: "rejects to archive", stage: "rejects" },
  ];
  const some = all.filter(({ rows }) => rows > 0);
  if (some.length === 0 && uncounted > 0) return [{ rows: uncounted, text: uncounted === 1 ? "file to read" : "files to read", stage: "files" }];
  return stream.partitions.length === 0 && some.length === 0 ? [] : some;
}

/** `1,234 rows to read` */
export function waitingText({ rows, text }: Waiting): string {
  return `${count(rows)} ${rows === 1 ? text.replace(/^rows /, "row ").replace(/^rejects /, "reject ") : text}`;
}
