/** Numbers, sizes and times as people read them. Pure; always the same in every locale, so that a screenshot is comparable. */

/** A space that does not break, between a number and its unit. */
export const THIN = "\u202f";
/** Shown where there is no value. */
export const NONE = "–";

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SIGNIFICANT = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

/** `1234567` as `1,234,567`. */
export function count(value: number | null | undefined): string {
  return isNumber(value) ? WHOLE.format(value) : NONE;
}

/** `1234567` as `1.23 M`, for axes and tight places. */
export function compact(value: number | null | undefined): string {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  for (const [limit, unit] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
  ] as const) {
    if (size >= limit) return `${SIGNIFICANT.format(value / limit)}${THIN}${unit}`;
  }
  if (size >= 10_000) return `${SIGNIFICANT.format(value / 1000)}${THIN}k`;
  return SIGNIFICANT.format(value);
}

/** A rate: whole from 10 on, one digit below, so that a slow flow does not show as 0. */
export function rate(value: number | null | undefined): string {
  if (!isNumber(value)) return NONE;
  if (value < 0.05) return "0";
  return value < 10 ? value.toFixed(1) : WHOLE.format(value);
}

/** A measure of any size: four digits are enough. */
export function measure(value: number | null | undefined): string {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (Number.isInteger(value)) return WHOLE.format(value);
  if (size >= 1000) return WHOLE.format(value);
  return new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 }).format(value);
}

/** Bytes in binary units, `5242880` as `5.0 MiB`. */
export function bytes(value: number | null | undefined): string {
  if (!isNumber(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let rest = value;
  let unit = 0;
  while (Math.abs(rest) >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(rest) >= 100 ? 0 : 1;
  return `${rest.toFixed(digits)}${THIN}${units[unit] ?? ""}`;
}

/** A share of a whole, `0.0123` as `1.2 %`; tiny but present shares do not show as 0. */
export function percent(part: number, whole: number): string {
  if (!(whole > 0)) return NONE;
  const value = (part / whole) * 100;
  if (value > 0 && value < 0.1) return `<${THIN}0.1${THIN}%`;
  if (value > 99.9 && value < 100) return `>${THIN}99.9${THIN}%`;
  return `${value.toFixed(value < 10 && value > 0 ? 1 : 0)}${THIN}%`;
}

/** A latency in the unit that fits: `12 ms`, `1.4 s`, `3 min`. */
export function latency(seconds: number | null | undefined): string {
  if (!isNumber(seconds)) return NONE;
  if (seconds === 0) return `0${THIN}s`;
  if (seconds < 0.001) return `<${THIN}1${THIN}ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)}${THIN}ms`;
  if (seconds < 10) return `${seconds.toFixed(1)}${THIN}s`;
  if (seconds < 120) return `${Math.round(seconds)}${THIN}s`;
  return duration(seconds);
}

/** A stretch of time in its two largest units: `3 min 12 s`, `2 h 5 min`, `4 d 1 h`. */
export function duration(seconds: number | null | undefined): string {
  if (!isNumber(seconds) || seconds < 0) return NONE;
  const whole = Math.floor(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return `0${THIN}s`;
  return parts
    .slice(first, first + 2)
    .filter(([value], index) => value > 0 || index === 0)
    .map(([value, unit]) => `${value}${THIN}${unit}`)
    .join(" ");
}

/** How long ago, `4 s ago`. */
export function ago(at: string | null | undefined, nowMs: number): string {
  const ms = parseTime(at);
  if (ms === null) return NONE;
  const seconds = Math.max(0, (nowMs - ms) / 1000);
  return seconds < 1 ? "just now" : `${duration(seconds < 120 ? seconds : Math.floor(seconds / 60) * 60)} ago`;
}

/** Wall-clock time of an RFC 3339 text or a number of milliseconds, in the reader's zone: `14:03:21`. */
export function clock(at: string | number | null | undefined): string {
  const ms = typeof at === "number" ? at : parseTime(at);
  if (ms === null) return NONE;
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** Date and time in UTC, without what is zero at the end: `2020-04-02 10:11:12`. */
export function utc(ms: number): string {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return NONE;
  const text = new Date(ms).toISOString();
  const [day = "", time = ""] = text.split("T");
  const trimmed = time.replace("Z", "").replace(/\.?0+$/, "");
  if (time.startsWith("00:00:00.000")) return day;
  return `${day} ${trimmed.length >= 8 ? trimmed : time.slice(0, 8)}`;
}

export function parseTime(at: string | null | undefined): number | null {
  if (at === null || at === undefined) return null;
  const ms = Date.parse(at);
  return Number.isNaN(ms) ? null : ms;
}

/** `1 file`, `2 files`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)}${"\u00a0"}${value === 1 ? one : many}`;
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
