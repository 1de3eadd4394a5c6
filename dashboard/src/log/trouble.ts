/** What keeps the log from working, in words and numbers: pure, from the status alone. */

import type { Message, Status } from "../api/types";
import { parseTime, plural } from "../format/format";

export interface LogNotice {
  /** Which log, and where, that does not answer. */
  title: string;
  /** RFC 3339. */
  since: string;
  /** How long, by the server's clock; null when that cannot be told. */
  seconds: number | null;
  /** What it said last. */
  said: string;
  /** What waits until it answers. */
  waits: string[];
}

/** What is over before this is no news: the program tells nobody of it either. */
const PATIENCE_SECONDS = 1;

const NAMES: Record<string, string> = { kafka: "Apache Kafka", embedded: "embedded log", "": "being opened" };

export function logName(log: string): string {
  return NAMES[log] ?? log;
}

/** The status without a trouble that is too young to be told. `statusAgeMs`: how long ago the status came. */
export function patient(status: Status, statusAgeMs: number): Status {
  const seconds = troubleSeconds(status, statusAgeMs);
  return seconds === null || seconds >= PATIENCE_SECONDS ? status : { ...status, stream: { ...status.stream, trouble: null } };
}

/** By the server's clock; null without a trouble, or when its times cannot be read. */
function troubleSeconds({ stream, started_at, uptime_seconds }: Status, statusAgeMs: number): number | null {
  const since = parseTime(stream.trouble?.since);
  const started = parseTime(started_at);
  return since === null || started === null ? null : Math.max(0, (started + statusAgeMs - since) / 1000 + uptime_seconds);
}

/** `uncounted`: files found whose rows are not in `rows_total` yet. */
export function logNotice(status: Status, statusAgeMs: number, uncounted: number): LogNotice | null {
  const { trouble, log } = status.stream;
  if (trouble === null) return null;
  const seconds = troubleSeconds(status, statusAgeMs);
  return { title: `${title(log, status.messages)} does not answer`, since: trouble.since, seconds, said: trouble.what, waits: waits(status, uncounted) };
}

function title(log: string, messages: Message[]): string {
  if (log !== "kafka") return `The ${logName(log)}`;
  const brokers = messages.map(({ text }) => OUTAGE.exec(text)?.[1]).find((found) => found !== undefined);
  return brokers === undefined ? logName(log) : `${logName(log)} at ${brokers}`;
}

function waits({ source, receive, table }: Status, uncounted: number): string[] {
  const files = uncounted > 0 ? plural(uncounted, "file") : null;
  const unread = Math.max(0, source.rows_total - source.rows_read);
  return [
    unread > 0 ? `${plural(unread, "row")} to read${files === null ? "" : ` and ${files} more`}` : files === null ? null : `${files} to read`,
    receive.lag_rows > 0 ? `${plural(receive.lag_rows, "row")} in the log to receive` : null,
    table.rows_not_archived > 0 ? `${plural(table.rows_not_archived, "row")} received, not archived yet` : null,
  ].filter((text) => text !== null);
}

const OUTAGE = /^Kafka at `([^`]*)` does not answer since /;
const END = /^Kafka at `[^`]*` answers again/;

/** Whether a message tells that Kafka does not answer. */
export function isOutage({ text }: Message): boolean {
  return OUTAGE.test(text);
}

/** The messages that are more than a note, newest first as they come, without the outages that are over. */
export function toLookAt(messages: Message[]): Message[] {
  const end = messages.findIndex(({ text }) => END.test(text));
  return messages.filter((message, index) => message.level !== "info" && !(isOutage(message) && end >= 0 && end < index));
}
