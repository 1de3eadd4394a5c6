/**
 * The JSON contract with the program: the mirror of `millstream-core/src/status.rs`.
 *
 * Rates are per second, counts are since the stream began unless a field says otherwise, times are RFC 3339 text in UTC.
 */

/** Body of `/api/me`: who the program takes us for. */
export interface Me {
  name: string | null;
  /** Null for who has to log in. */
  role: "viewer" | "operator" | null;
  /** How we came in, or can. */
  login: "none" | "token" | "password";
}

export type PipelineState = "starting" | "running" | "waiting" | "draining" | "done" | "failed";

/** Body of `/api/status`. */
export interface Status {
  pipeline: string;
  version: string;
  state: PipelineState;
  started_at: string;
  uptime_seconds: number;
  memory_bytes: number;
  memory_limit_bytes: number;
  source: SourceStatus;
  clean: CleanStatus;
  stream: StreamStatus;
  receive: ReceiveStatus;
  table: TableStatus;
  archive: ArchiveStatus;
  /** Most rows first. */
  rejects_by_rule: RuleCount[];
  freshness: Freshness;
  /** In the order of the way. */
  latencies: StepLatency[];
  /** Newest first, at most 50. */
  messages: Message[];
}

export interface SourceStatus {
  path: string[];
  pace: string;
  watch: boolean;
  files_waiting: number;
  files_reading: number;
  files_done: number;
  files_quarantined: number;
  rows_total: number;
  rows_read: number;
  rows_per_second: number;
}

export interface CleanStatus {
  engine: string;
  clean: number;
  rejected: number;
  deduplicated: number;
  filtered: number;
  late: number;
  dedup_keys: number;
  /** Being cleaned in this process. */
  splits: SplitStatus[];
}

export interface SplitStatus {
  file: string;
  first_row: number;
  end_row: number;
  next_row: number;
  since: string;
}

/** Over the last minute; null where nothing was done. */
export interface StepLatency {
  step: "read" | "clean" | "append" | "receive" | "visible" | "archived";
  p50_seconds: number | null;
  p99_seconds: number | null;
}

export interface StreamStatus {
  /** `embedded` or `kafka`; empty while it is being opened. */
  log: string;
  topic: string;
  stream_id: string;
  /** What keeps the log from working at the moment; null when it works. */
  trouble: LogTrouble | null;
  partitions: PartitionStatus[];
  /** Since this process started, as `records` and `bytes`. */
  appends: number;
  records: number;
  bytes: number;
  rows_per_record: number;
  records_per_second: number;
  /** 0 where the log cannot tell: Kafka. */
  disk_bytes: number;
}

export interface LogTrouble {
  since: string;
  what: string;
}

export interface PartitionStatus {
  topic: string;
  partition: number;
  begin_offset: number;
  end_offset: number;
  received_offset: number;
  archived_offset: number;
}

export interface ReceiveStatus {
  /** Since this process started. */
  rows: number;
  rows_per_second: number;
  lag_rows: number;
  lag_seconds: number;
  repeats: number;
  gaps: number;
  /** Lowest and highest of the last seconds. */
  event_times: [string, string] | null;
}

export interface TableStatus {
  rows: number;
  bytes: number;
  limit_bytes: number;
  segments: number;
  rows_not_archived: number;
  oldest_ingested_at: string | null;
  newest_event_time: string | null;
  partitions: TablePartition[];
}

export interface TablePartition {
  topic: string;
  partition: number;
  segments: number;
  rows: number;
  bytes: number;
  rows_not_archived: number;
}

export interface ArchiveStatus {
  path: string;
  version: number | null;
  rows: number;
  files: number;
  bytes: number;
  reject_rows: number;
  /** How it looks after itself; absent where the program does not. */
  upkeep?: UpkeepStatus;
  /** Commits that this process made. */
  commits: number;
  last_commit_at: string | null;
  /** Newest first, at most 20. */
  versions: ArchiveVersion[];
}

/** Both tables, since this process started. */
export interface UpkeepStatus {
  /** What is under way, in words. */
  doing: string | null;
  small_files: number;
  compacted_files: number;
  compacted_into: number;
  compacted_bytes: number;
  last_compaction_at: string | null;
  last_checkpoint_version: number | null;
  last_checkpoint_at: string | null;
  last_vacuum_at: string | null;
  removed_files: number;
  removed_bytes: number;
  replaced_files: number;
  replaced_bytes: number;
}

export interface ArchiveVersion {
  version: number;
  at: string;
  rows: number;
  files: number;
  bytes: number;
}

export interface RuleCount {
  rule: string;
  rows: number;
}

/** Over the last minute; null without rows in it. */
export interface Freshness {
  p50_seconds: number | null;
  p99_seconds: number | null;
  visible_p50_seconds: number | null;
  visible_p99_seconds: number | null;
}

export type MessageLevel = "info" | "warn" | "error";

export interface Message {
  at: string;
  level: MessageLevel;
  text: string;
}

export type FileState = "waiting" | "reading" | "published" | "done" | "quarantined";

/** `rows = delivered + rejected + deduplicated + filtered + unread + in_flight` */
export interface LedgerCounts {
  rows: number;
  delivered: number;
  rejected: number;
  deduplicated: number;
  filtered: number;
  unread: number;
  in_flight: number;
}

export interface FileLedger extends LedgerCounts {
  file: string;
  sequence: number;
  state: FileState;
  reason: string | null;
  size_bytes: number;
}

/** Body of `/api/ledger`. */
export interface Ledger {
  balanced: boolean;
  problems: string[];
  total: LedgerCounts;
  files: FileLedger[];
}

export interface ColumnInfo {
  name: string;
  data_type: string;
  nullable: boolean;
}

/** Entry of `/api/tables`. */
export interface TableInfo {
  name: string;
  kind: string;
  columns: ColumnInfo[];
  /** The column by which its rows stand in time; null for a view. */
  time: string | null;
}

/** Body of `/api/queries`. */
export interface QueriesInfo {
  /** Those that run, the longest first. */
  running: { sql: string; seconds: number }[];
  ended: { answered: number; refused: number; timed_out: number; too_large: number; cancelled: number; failed: number };
  memory_bytes: number;
  memory_limit_bytes: number;
  /** Most rows of an answer. */
  most_rows: number;
  /** Longest time of a query. */
  most_seconds: number;
}

/** Entry of `/api/views`. */
export interface ViewInfo {
  name: string;
  sql: string;
  chart: ChartInfo | null;
}

export interface ChartInfo {
  /** `line`, `bar`, `area`, `scatter`, `heatmap`, `table` or `number`. */
  kind: string;
  x: string | null;
  y: string | null;
  series: string | null;
  /** Column of the colours of a heat map. */
  value?: string | null;
  /** Whether a scatter has its line of best fit. */
  fit?: boolean;
}

/** A result column in JSON answers; some events name it by text alone. */
export type ResultColumn = string | { name: string; data_type: string };

/** Data of the `rows` event. */
export interface NewestRows {
  columns: ResultColumn[];
  rows: unknown[][];
}

/** JSON answer of `/api/sql` and `/api/views/{name}/data`. */
export interface QueryResult extends NewestRows {
  truncated: boolean;
  elapsed_ms: number;
}

/** Data of the `archive` event. */
export interface ArchiveCommit {
  version: number;
}
