/** Ranges of time and the buckets that they are drawn in. Pure; milliseconds since 1970, ends exclusive, all in UTC. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Ranges that end with the newest row; `all` has no ends. */
export const PRESETS = [
  { id: "5m", title: "5 min", long: "last 5 minutes", ms: 5 * MINUTE },
  { id: "1h", title: "1 h", long: "last hour", ms: HOUR },
  { id: "6h", title: "6 h", long: "last 6 hours", ms: 6 * HOUR },
  { id: "24h", title: "24 h", long: "last 24 hours", ms: DAY },
  { id: "7d", title: "7 d", long: "last 7 days", ms: 7 * DAY },
  { id: "30d", title: "30 d", long: "last 30 days", ms: 30 * DAY },
  { id: "1y", title: "1 y", long: "last year", ms: 365 * DAY },
  { id: "all", title: "All", long: "all history", ms: null },
] as const;

export type PresetId = (typeof PRESETS)[number]["id"];

export type Range = { kind: "preset"; id: PresetId } | { kind: "custom"; from: number; to: number };

export const ALL: Range = { kind: "preset", id: "all" };

/** From `from` to before `to`. */
export interface Span {
  from: number;
  to: number;
}

/** What a range means for rows whose times lie in `data`. */
export function spanOf(range: Range, data: Span): Span {
  if (range.kind === "custom") return { from: range.from, to: range.to };
  const ms = PRESETS.find((preset) => preset.id === range.id)?.ms ?? null;
  return ms === null ? data : { from: data.to - ms, to: data.to };
}

export function isAll(range: Range): boolean {
  return range.kind === "preset" && range.id === "all";
}

/** The span just before, as long. */
export function before(span: Span): Span {
  return { from: span.from - (span.to - span.from), to: span.from };
}

/** A bucket's length: so many milliseconds, or so many months. */
export type Step = { kind: "ms"; ms: number; name: string } | { kind: "months"; months: number; name: string };

const MS_STEPS: [number, string][] = [
  [SECOND, "second"],
  [5 * SECOND, "5 seconds"],
  [10 * SECOND, "10 seconds"],
  [30 * SECOND, "30 seconds"],
  [MINUTE, "minute"],
  [5 * MINUTE, "5 minutes"],
  [10 * MINUTE, "10 minutes"],
  [30 * MINUTE, "30 minutes"],
  [HOUR, "hour"],
  [3 * HOUR, "3 hours"],
  [6 * HOUR, "6 hours"],
  [12 * HOUR, "12 hours"],
  [DAY, "day"],
  [7 * DAY, "week"],
];
const STEPS: Step[] = [
  ...MS_STEPS.map(([ms, name]): Step => ({ kind: "ms", ms, name })),
  { kind: "months", months: 1, name: "month" },
  { kind: "months", months: 3, name: "quarter" },
  { kind: "months", months: 12, name: "year" },
  { kind: "months", months: 120, name: "10 years" },
  { kind: "months", months: 1200, name: "century" },
];
/** A Monday, so that weeks begin with one. */
const ORIGIN = Date.UTC(1970, 0, 5);

/** The shortest step that needs at most so many buckets. */
export function stepFor(span: Span, most: number): Step {
  const fits = STEPS.find((step) => (span.to - span.from) / roughMs(step) <= most - 1);
  return fits ?? { kind: "months", months: 1200, name: "century" };
}

function roughMs(step: Step): number {
  return step.kind === "ms" ? step.ms : step.months * 30.4 * DAY;
}

/** Start of the bucket that holds a moment, as `date_bin` with [`stepSql`] has it. */
export function bucketOf(ms: number, step: Step): number {
  if (step.kind === "ms") return ORIGIN + Math.floor((ms - ORIGIN) / step.ms) * step.ms;
  const date = new Date(ms);
  const months = (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth();
  return monthStart(Math.floor(months / step.months) * step.months);
}

export function nextBucket(start: number, step: Step): number {
  if (step.kind === "ms") return start + step.ms;
  const date = new Date(start);
  return monthStart((date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth() + step.months);
}

function monthStart(months: number): number {
  const date = new Date(0);
  date.setUTCFullYear(1970 + Math.floor(months / 12), ((months % 12) + 12) % 12, 1);
  return date.getTime();
}

/** Starts of all buckets that a span touches, at most `most` of them. */
export function bucketsOf(span: Span, step: Step, most = 2000): number[] {
  const starts: number[] = [];
  for (let at = bucketOf(span.from, step); at < span.to && starts.length < most; at = nextBucket(at, step)) starts.push(at);
  return starts;
}

/** The bucket of a time column as SQL. */
export function stepSql(step: Step, column: string): string {
  if (step.kind === "ms") return `date_bin(INTERVAL '${step.ms / SECOND} seconds', ${column}, TIMESTAMP '1970-01-05T00:00:00Z')`;
  return `date_bin(INTERVAL '${step.months} months', ${column}, TIMESTAMP '1970-01-01T00:00:00Z')`;
}

/** Moments for the labels of an axis: at most `most`, at round times. */
export function ticksOf(span: Span, most: number): number[] {
  const step = stepFor(span, most);
  return bucketsOf(span, step, most + 2).filter((at) => at >= span.from);
}

/** A moment as a label of an axis whose labels stand so far apart. */
export function tickLabel(at: number, span: Span): string {
  const date = new Date(at);
  const length = span.to - span.from;
  const day = date.toLocaleDateString("en-GB", { timeZone: "UTC", day: "numeric", month: "short" });
  const time = date.toISOString().slice(11, length < 5 * MINUTE ? 19 : 16);
  if (length <= 2 * DAY) return time === "00:00" || time === "00:00:00" ? day : time;
  if (length <= 200 * DAY) return day;
  if (length <= 4 * 365 * DAY) return date.toLocaleDateString("en-GB", { timeZone: "UTC", month: "short", year: "numeric" });
  return String(date.getUTCFullYear());
}
