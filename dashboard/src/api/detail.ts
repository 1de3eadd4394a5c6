/** What pages ask for beyond the status: the mirror of `millstream-core/src/detail.rs` and of `server/details.rs`. */

import type { ColumnInfo } from "./types";

/** Entry of `/api/history`: one a second, oldest first. */
export interface HistorySample {
  at_millis: number;
  read: number;
  received: number;
  records: number;
  visible_p50_seconds: number | null;
  visible_p99_seconds: number | null;
  lag_rows: number;
  lag_seconds: number;
  clean: number;
  rejected: number;
  archived: number;
  event_times: [string, string] | null;
}

/** Body of `/api/profile?minutes=n`. */
export interface Profile {
  minutes: number;
  rows: number;
  /** All of them, or every n-th. */
  sampled: number;
  columns: ColumnProfile[];
}

/** Times are milliseconds since 1970. */
export interface ColumnProfile {
  name: string;
  data_type: string;
  nulls: number;
  distinct: number;
  low: number | null;
  median: number | null;
  high: number | null;
  bars_from: number | null;
  bars_to: number | null;
  bars: number[];
  top: { value: string; rows: number }[];
}

/** Body of `/api/archive`. */
export interface ArchiveDetail {
  version: number | null;
  rows: number;
  bytes: number;
  file_count: number;
  columns: ColumnInfo[];
  partitions: ArchivePartition[];
  /** Newest first, at most 1000. */
  files: ArchiveFile[];
  /** Newest first, at most 500. */
  versions: ArchiveChange[];
}

export interface ArchivePartition {
  partition: string;
  files: number;
  rows: number;
  bytes: number;
}

export interface ArchiveFile {
  path: string;
  partition: string;
  rows: number | null;
  bytes: number;
  at: string;
}

export interface ArchiveChange {
  version: number;
  at: string;
  operation: string;
  rows: number;
  files: number;
  bytes: number;
  columns: string[];
}

/** Entry of `/api/rules`. */
export interface RuleInfo {
  name: string;
  column: string | null;
  check: string;
  action: "reject" | "nullify" | "clamp" | "warn" | "fail";
  /** As the pipeline file has it now, on one line; null where it has no such rule any more, or is no TOML. */
  toml: string | null;
  /** What is behind the `=` of that line. */
  written: unknown;
}

/** Body of `/api/row?file=…&row=n`. */
export interface RowTrace {
  outcome: "delivered" | "rejected" | "not_there";
  columns: { name: string; data_type: string }[];
  values: unknown[];
  log: { topic: "rows" | "rejects"; partition: number; offset: number | null; first_offset: number; end_offset: number; in_live: boolean } | null;
  archive: { file: string; version: number | null; at: string | null } | null;
  rules: RuleInfo[];
}
