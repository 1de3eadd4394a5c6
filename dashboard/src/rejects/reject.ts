/** A reject, opened: each original value beside what was wrong with it. Pure. */

import type { RuleInfo } from "../api/detail";

export interface Reject {
  file: string;
  row: number;
  /** Milliseconds since 1970. */
  at: number;
  rules: string[];
  reasons: string[];
  /** Null where the row was too large to be kept. */
  original: Record<string, unknown> | null;
}

export interface Value {
  column: string;
  value: unknown;
  /** What was wrong with it. */
  broken: { rule: string; reason: string }[];
}

/** From a row of the query; null for one that is none. */
export function rejectOf(row: readonly unknown[]): Reject | null {
  const [file, number, at, rules, reasons, original] = row;
  if (typeof file !== "string" || typeof number !== "number" || typeof at !== "number") return null;
  return { file, row: number, at, rules: texts(rules), reasons: texts(reasons), original: parsed(original) };
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function parsed(original: unknown): Record<string, unknown> | null {
  if (typeof original !== "string") return null;
  try {
    const value: unknown = JSON.parse(original);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** The columns that a broken rule or type speaks of, by the names that the source has. */
export function valuesOf(reject: Reject, rules: readonly RuleInfo[]): { values: Value[]; whole: Value["broken"] } {
  const columns = Object.keys(reject.original ?? {});
  const whole: Value["broken"] = [];
  const broken = new Map<string, Value["broken"]>();
  reject.rules.forEach((rule, index) => {
    const reason = reject.reasons[index] ?? "";
    const target = rule.startsWith("type:") ? rule.slice(5) : (rules.find(({ name }) => name === rule)?.column ?? null);
    const column = target === null ? undefined : columns.find((name) => sameName(name, target));
    if (column === undefined) whole.push({ rule, reason });
    else broken.set(column, [...(broken.get(column) ?? []), { rule, reason }]);
  });
  const values = columns.map((column) => ({ column, value: reject.original?.[column] ?? null, broken: broken.get(column) ?? [] }));
  return { values: [...values.filter((one) => one.broken.length > 0), ...values.filter((one) => one.broken.length === 0)], whole };
}

/** `tpep_pickup_datetime` is the source's name of `pickup_datetime`, `VendorID` of `vendor_id`. */
export function sameName(source: string, target: string): boolean {
  const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  return plain(source) === plain(target) || plain(source).endsWith(plain(target));
}
