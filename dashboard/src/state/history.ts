/** What the page remembers of the last minutes, at most one sample a second, and the rates that follow from it. */

import type { HistorySample } from "../api/detail";
import type { Status } from "../api/types";
import { parseTime } from "../format/format";

export interface Sample {
  /** Milliseconds since 1970. */
  at: number;
  read: number;
  received: number;
  records: number;
  visibleP50: number | null;
  visibleP99: number | null;
  lagRows: number;
  lagSeconds: number;
  clean: number;
  rejected: number;
  archived: number;
  /** Lowest and highest event time of the last seconds, milliseconds since 1970. */
  events: [number, number] | null;
}

/** As long as the program itself remembers. */
export const KEPT_SECONDS = 900;

export function sampleOf(status: Status, at: number): Sample {
  return {
    at,
    read: status.source.rows_per_second,
    received: status.receive.rows_per_second,
    records: status.stream.records_per_second,
    visibleP50: status.freshness.visible_p50_seconds,
    visibleP99: status.freshness.visible_p99_seconds,
    lagRows: status.receive.lag_rows,
    lagSeconds: status.receive.lag_seconds,
    clean: status.clean.clean,
    rejected: status.clean.rejected,
    archived: status.archive.rows,
    events: span(status.receive.event_times),
  };
}

/** A sample as the program remembers it. */
export function sampleOfServer(sample: HistorySample): Sample {
  return {
    at: sample.at_millis,
    read: sample.read,
    received: sample.received,
    records: sample.records,
    visibleP50: sample.visible_p50_seconds,
    visibleP99: sample.visible_p99_seconds,
    lagRows: sample.lag_rows,
    lagSeconds: sample.lag_seconds,
    clean: sample.clean,
    rejected: sample.rejected,
    archived: sample.archived,
    events: span(sample.event_times),
  };
}

/** What the program remembers, and behind it what this page saw since: a time without a connection leaves no gap. */
export function merged(server: readonly Sample[], own: readonly Sample[]): Sample[] {
  const last = server.at(-1)?.at ?? 0;
  return [...server, ...own.filter(({ at }) => at > last)].slice(-KEPT_SECONDS);
}

function span(times: [string, string] | null | undefined): [number, number] | null {
  const low = parseTime(times?.[0]);
  const high = parseTime(times?.[1]);
  return low === null || high === null ? null : [low, high];
}

/** The history with one more sample: one of the same second is replaced, old ones leave. */
export function remember(history: readonly Sample[], sample: Sample): Sample[] {
  const oldest = sample.at - KEPT_SECONDS * 1000;
  const last = history.at(-1);
  const sameSecond = last !== undefined && Math.floor(last.at / 1000) === Math.floor(sample.at / 1000);
  const kept = (sameSecond ? history.slice(0, -1) : history).filter(({ at }) => at >= oldest && at <= sample.at);
  return [...kept, sample];
}

type Counter = "clean" | "rejected" | "archived";

/** Growth of a counter a second over the last `seconds`; null while there are no two samples. A counter that fell began anew. */
export function growth(history: readonly Sample[], counter: Counter, seconds: number): number | null {
  const last = history.at(-1);
  if (last === undefined) return null;
  const first = history.find(({ at }) => at >= last.at - seconds * 1000);
  if (first === undefined || first.at === last.at) return null;
  return Math.max(0, (last[counter] - first[counter]) / ((last.at - first.at) / 1000));
}

/** What is still to read, at the pace of the last half minute; null when it cannot be told. */
export function remainingSeconds(history: readonly Sample[], status: Status): number | null {
  const left = status.source.rows_total - status.source.rows_read;
  const recent = history.slice(-30);
  const pace = recent.reduce((sum, sample) => sum + sample.read, 0) / Math.max(1, recent.length);
  return left > 0 && pace > 0 && recent.length >= 3 ? left / pace : null;
}
