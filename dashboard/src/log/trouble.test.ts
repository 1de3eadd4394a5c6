import { render } from "svelte/server";
import { expect, it } from "vitest";

// @ts-expect-error plain JavaScript without types
import { Simulation } from "../../mock/simulation.mjs";
import type { Message, MessageLevel, Status } from "../api/types";
import LogNotice from "./LogNotice.svelte";
import { logName, logNotice, patient, toLookAt } from "./trouble";

interface Made {
  status(): Status;
}
const made = (options: object): Status => (new (Simulation as new (options: object) => Made)({ now: 1_000_000, ...options })).status();
const plain = (text: string): string => text.replaceAll(/[\u00a0\u202f]/g, " ");

/** A status in whose 20th second Kafka has not answered for `seconds`. */
function away(seconds: number, change: Partial<Status> = {}): Status {
  const status = made({ ahead: 20, scene: "kafka" });
  const since = new Date(Date.parse(status.started_at) + (20 - seconds) * 1000).toISOString();
  return { ...status, ...change, stream: { ...status.stream, trouble: { since, what: "1/1 brokers are down" } } };
}

const message = (level: MessageLevel, text: string): Message => ({ at: "2026-01-01T00:00:00Z", level, text });
const OUTAGE = message("error", "Kafka at `a:9092,b:9092` does not answer since 2026-01-01T00:00:00Z (connection refused). Rows wait where they are");
const END = message("info", "Kafka at `a:9092,b:9092` answers again, after 4 s");

it("is there only while the log does not answer", () => {
  expect(logNotice(made({ ahead: 20, scene: "kafka" }), 0, 0)).toBeNull();
  expect(logNotice(away(1.5), 0, 0)).not.toBeNull();
  expect(patient(away(0.5), 0).stream.trouble).toBeNull();
  expect(patient(away(0.5), 600).stream.trouble).not.toBeNull();
});

it("counts by the server's clock, and on between two statuses", () => {
  expect(logNotice(away(12), 0, 0)?.seconds).toBeCloseTo(12);
  expect(logNotice(away(12), 3000, 0)?.seconds).toBeCloseTo(15);
  // A time that cannot be read: not counted, and still told.
  expect(logNotice({ ...away(12), started_at: "unknown" }, 0, 0)?.seconds).toBeNull();
});

it("names the log, and where it is once a message has told that", () => {
  expect(logNotice(away(3), 0, 0)?.title).toBe("Apache Kafka does not answer");
  expect(logNotice(away(3, { messages: [OUTAGE] }), 0, 0)?.title).toBe("Apache Kafka at a:9092,b:9092 does not answer");
  expect([logName("kafka"), logName("embedded"), logName("")]).toEqual(["Apache Kafka", "embedded log", "being opened"]);
});

it("says what waits, and nothing of what does not", () => {
  const { source, receive, table } = made({ ahead: 20 });
  const waits = (change: Partial<Status>, uncounted = 0): string[] => (logNotice(away(3, change), 0, uncounted)?.waits ?? []).map(plain);
  const change = {
    source: { ...source, rows_total: 5000, rows_read: 1500 },
    receive: { ...receive, lag_rows: 1 },
    table: { ...table, rows_not_archived: 1545 },
  };
  expect(waits(change)).toEqual(["3,500 rows to read", "1 row in the log to receive", "1,545 rows received, not archived yet"]);
  expect(waits(change, 2)[0]).toBe("3,500 rows to read and 2 files more");
  const nothing = { source: { ...source, rows_total: 10, rows_read: 10 }, receive: { ...receive, lag_rows: 0 }, table: { ...table, rows_not_archived: 0 } };
  expect(waits(nothing)).toEqual([]);
  expect(waits(nothing, 2)).toEqual(["2 files to read"]);
});

it("calls an outage over once a newer message does", () => {
  const odd = message("warn", "odd");
  expect(toLookAt([OUTAGE, odd])).toEqual([OUTAGE, odd]);
  expect(toLookAt([END, OUTAGE, odd])).toEqual([odd]);
  expect(toLookAt([OUTAGE, END, OUTAGE, odd])).toEqual([OUTAGE, odd]);
});

it("stands on the page with all of it", () => {
  const notice = logNotice(away(72, { messages: [OUTAGE] }), 0, 0);
  expect(notice).not.toBeNull();
  if (notice === null) return;
  const text = plain(render(LogNotice, { props: { notice } }).body.replaceAll(/<style[^]*?<\/style>|<[^>]*>/g, ""));
  expect(text).toMatch(/Apache Kafka at a:9092,b:9092 does not answer/);
  expect(text).toMatch(/since \d\d:\d\d:\d\d, for 1 min 12 s/);
  expect(text).toMatch(/1\/1 brokers are down/);
  expect(text).toMatch(/rows to read/);
  expect(text).toMatch(/goes on by itself when it answers/);
});
