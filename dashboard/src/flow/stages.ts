/** The stages of the way as cards: pure, from the status and the rates that the page keeps. */

import type { Status } from "../api/types";
import { bytes, count, percent, plural } from "../format/format";
import { logName } from "../log/trouble";
import { growth, type Sample } from "../state/history";

export type StageId = "files" | "clean" | "log" | "receive" | "table" | "archive" | "rejects";
export type Health = "calm" | "warn" | "bad";

export interface Stage {
  id: StageId;
  title: string;
  /** What does the work: an engine, a log, a place. */
  by: string;
  value: number;
  /** What `value` counts. */
  unit: string;
  /** A second; null when it cannot be told yet. */
  rate: number | null;
  rateUnit: string;
  /** What waits here; null where nothing can. */
  backlog: { value: number; text: string } | null;
  /** How far, or how full, from 0 to 1. */
  meter: { share: number; text: string } | null;
  /** One more fact. */
  note: string | null;
  health: Health;
  /** What is wrong, when it is not calm. */
  trouble: string | null;
}

/** Rates that the server does not send: growth of counters over the last seconds. */
export interface Rates {
  clean: number | null;
  rejected: number | null;
  archived: number | null;
}

/** Rates from what the page remembers. */
export function ratesOf(history: readonly Sample[]): Rates {
  return {
    clean: growth(history, "clean", 5),
    rejected: growth(history, "rejected", 10),
    // Commits come every few seconds: a shorter look would jump between nothing and a lot.
    archived: growth(history, "archived", 30),
  };
}

/** The small line of each stage: its rate over the last two minutes; counters as their growth. */
export function sparksOf(history: readonly Sample[]): Partial<Record<StageId, number[]>> {
  const recent = history.slice(-SPARK_SAMPLES);
  const grown = (counter: "clean" | "archived" | "rejected"): number[] => recent.slice(1).map((sample, index) => Math.max(0, sample[counter] - (recent[index]?.[counter] ?? 0)));
  return {
    files: recent.map(({ read }) => read),
    clean: grown("clean"),
    log: recent.map(({ records }) => records),
    receive: recent.map(({ received }) => received),
    table: recent.map(({ received }) => received),
    archive: grown("archived"),
  };
}

const SPARK_SAMPLES = 120;

/** From this share of its memory on, the live table is called nearly full. */
const NEARLY_FULL = 0.9;
/** A reader that is this far behind is not just busy. */
const LATE_SECONDS = 10;

/** `uncounted`: files found whose rows are not in `rows_total` yet. */
export function stages(status: Status, rates: Rates, uncounted: number): Stage[] {
  return [files(status, uncounted), clean(status, rates), log(status), receive(status), table(status), archive(status, rates)];
}

function calm(): Pick<Stage, "health" | "trouble"> {
  return { health: "calm", trouble: null };
}

function files({ source }: Status, uncounted: number): Stage {
  const all = source.files_waiting + source.files_reading + source.files_done + source.files_quarantined;
  const left = Math.max(0, source.rows_total - source.rows_read);
  const quarantined = source.files_quarantined > 0;
  const byFiles = { share: all > 0 ? source.files_done / all : 0, text: `${count(source.files_done)} of ${plural(all, "file")} done` };
  const byRows = { share: source.rows_read / source.rows_total, text: percent(source.rows_read, source.rows_total) };
  return {
    id: "files",
    title: "Files",
    by: source.pace === "max" ? "at full pace" : `at ${source.pace}`,
    value: source.rows_read,
    unit: uncounted > 0 ? "rows read so far" : `of ${count(source.rows_total)} rows read`,
    rate: source.rows_per_second,
    rateUnit: "rows/s",
    backlog: uncounted > 0 ? { value: source.files_waiting, text: "files waiting" } : { value: left, text: "rows to read" },
    meter: uncounted > 0 ? byFiles : source.rows_total > 0 ? byRows : null,
    note: byFiles.text,
    health: quarantined ? "warn" : "calm",
    trouble: quarantined ? `${plural(source.files_quarantined, "file")} quarantined` : null,
  };
}

const ENGINES: Record<string, string> = { datafusion: "DataFusion", spark: "Spark" };

function clean({ clean: counts, source }: Status, rates: Rates): Stage {
  const held = Math.max(0, source.rows_read - counts.clean - counts.rejected - counts.deduplicated - counts.filtered);
  return {
    id: "clean",
    title: "Clean",
    by: ENGINES[counts.engine] ?? counts.engine,
    value: counts.clean,
    unit: "clean rows",
    rate: rates.clean,
    rateUnit: "rows/s",
    backlog: held > 0 ? { value: held, text: "rows under way" } : null,
    meter: null,
    note: `${plural(counts.deduplicated, "duplicate")}, ${count(counts.filtered)}\u00a0filtered${counts.late > 0 ? `, ${count(counts.late)}\u00a0late` : ""}`,
    ...calm(),
  };
}

function log({ stream }: Status): Stage {
  const own = stream.partitions;
  const end = sum(own.map((partition) => partition.end_offset));
  const waiting = sum(own.map((partition) => Math.max(0, partition.end_offset - partition.received_offset)));
  // Kafka's transactions take offsets too: what is counted there is not batches alone.
  const counted = stream.log === "kafka" ? "offsets" : "batches";
  return {
    id: "log",
    title: "Log",
    by: logName(stream.log),
    value: end,
    unit: `${counted} in ${plural(own.length, "partition")}`,
    rate: stream.records_per_second,
    rateUnit: "batches/s",
    backlog: { value: waiting, text: `${counted} to receive` },
    meter: null,
    note: stream.disk_bytes > 0 ? `${bytes(stream.disk_bytes)} on disk` : stream.topic === "" ? null : `topic ${stream.topic}`,
    health: stream.trouble === null ? "calm" : "bad",
    trouble: stream.trouble === null ? null : "does not answer",
  };
}

function receive({ receive: counts }: Status): Stage {
  const gaps = counts.gaps > 0;
  const late = counts.lag_seconds > LATE_SECONDS;
  return {
    id: "receive",
    title: "Receive",
    by: "each batch once",
    value: counts.rows,
    unit: "rows since the start",
    rate: counts.rows_per_second,
    rateUnit: "rows/s",
    backlog: { value: counts.lag_rows, text: "rows behind" },
    meter: null,
    note: counts.repeats > 0 ? `${plural(counts.repeats, "repeat")} dropped` : "no repeats, no gaps",
    health: gaps ? "bad" : late ? "warn" : "calm",
    trouble: gaps ? plural(counts.gaps, "gap") + " in the log" : late ? "far behind the log's end" : null,
  };
}

function table({ table: live, receive: counts }: Status): Stage {
  const share = live.limit_bytes > 0 ? live.bytes / live.limit_bytes : 0;
  const full = share >= NEARLY_FULL;
  return {
    id: "table",
    title: "Live table",
    by: "in memory",
    value: live.rows,
    unit: "rows to query",
    rate: counts.rows_per_second,
    rateUnit: "rows/s",
    backlog: null,
    meter: live.limit_bytes > 0 ? { share, text: `${bytes(live.bytes)} of ${bytes(live.limit_bytes)}` } : null,
    note: plural(live.segments, "segment"),
    health: full ? "warn" : "calm",
    trouble: full ? "nearly full" : null,
  };
}

function archive({ archive: lake, table: live }: Status, rates: Rates): Stage {
  return {
    id: "archive",
    title: "Archive",
    by: "Delta Lake",
    value: lake.rows,
    unit: lake.version === null ? "rows, no version yet" : `rows in version ${count(lake.version)}`,
    rate: rates.archived,
    rateUnit: "rows/s",
    backlog: { value: live.rows_not_archived, text: "rows to archive" },
    meter: null,
    note: `${plural(lake.files, "file")}, ${bytes(lake.bytes)}`,
    ...calm(),
  };
}

export function rejects({ clean: counts, archive: lake, source }: Status, rates: Rates): Stage {
  const waiting = Math.max(0, counts.rejected - lake.reject_rows);
  return {
    id: "rejects",
    title: "Rejects",
    by: "with their reasons",
    value: counts.rejected,
    unit: "rows broke a rule",
    rate: rates.rejected,
    rateUnit: "rows/s",
    backlog: { value: waiting, text: "rows to archive" },
    meter: null,
    note: source.rows_read > 0 ? `${percent(counts.rejected, source.rows_read)} of what was read` : null,
    ...calm(),
  };
}

/** The state of the whole in one sentence, for someone who sees the page for the first time. */
export function summary(status: Status, secondsLeft: string | null, uncounted: number): string {
  const { source } = status;
  const rows = plural(source.rows_total, "row");
  switch (status.state) {
    case "starting":
      return "Starting: the log, the archive and the live table are being recovered.";
    case "draining":
      return "Stopping: what is under way is being brought to its end.";
    case "failed":
      return "Ended by an error. What was archived stays; a new start goes on from there.";
    case "done":
      return `Done: all ${rows} have their outcome, and what belongs in the archive is there.`;
    case "waiting":
      return source.rows_total > 0 ? `All ${rows} have their outcome. Waiting for new files.` : "Waiting for the first file.";
    case "running": {
      if (uncounted > 0) return `${plural(source.rows_read, "row")} read so far; ${plural(source.files_waiting, "file")} still ${source.files_waiting === 1 ? "waits" : "wait"}.`;
      if (source.rows_total === 0) return "Running: no rows found yet.";
      if (source.rows_read >= source.rows_total) return `All ${rows} are read; the last of them are on their way to the archive.`;
      const far = `${percent(source.rows_read, source.rows_total)} of ${rows} read`;
      if (status.stream.trouble !== null) return `${far}; the rest waits for the log.`;
      return secondsLeft === null ? `${far}.` : `${far}, about ${secondsLeft} to go at this pace.`;
    }
  }
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
