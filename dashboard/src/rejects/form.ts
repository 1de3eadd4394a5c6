/** A rule in a form, and the line of the pipeline file that says the same: pure. */

import { kindOf } from "../format/cell";

export const CHECKS = [
  { kind: "range", title: "lies in a range" },
  { kind: "one_of", title: "is one of these values" },
  { kind: "compare", title: "compares with another column" },
  { kind: "pattern", title: "matches a pattern" },
  { kind: "length", title: "has a length" },
  { kind: "not_null", title: "is there" },
  { kind: "required_if", title: "is there where …" },
  { kind: "sql", title: "SQL is not false" },
] as const;
export type CheckKind = (typeof CHECKS)[number]["kind"];

export const ACTIONS = [
  { action: "reject", title: "reject the row" },
  { action: "nullify", title: "make the value NULL, deliver the row" },
  { action: "clamp", title: "take the nearest end of the range, deliver the row" },
  { action: "warn", title: "mark the row, deliver it" },
  { action: "fail", title: "stop the run" },
] as const;
export type Action = (typeof ACTIONS)[number]["action"];

export const OPERATORS = ["=", "!=", "<", "<=", ">", ">="] as const;

/** What a form holds: all fields of all kinds, so that trying another kind loses nothing. */
export interface RuleForm {
  column: string;
  kind: CheckKind;
  action: string;
  min: string;
  max: string;
  /** One a line. */
  values: string;
  pattern: string;
  shortest: string;
  longest: string;
  op: string;
  with: string;
  condition: string;
  sql: string;
  /** Whether values are texts, for a column whose type is not known. */
  texts: boolean;
}

export const BLANK: RuleForm = { column: "", kind: "range", action: "reject", min: "", max: "", values: "", pattern: "", shortest: "", longest: "", op: "=", with: "", condition: "", sql: "", texts: false };

/** From `written` of `/api/rules`; null where it has something that the form has no field for. */
export function formOf(written: unknown): RuleForm | null {
  if (!isRecord(written)) return null;
  const { column, check, action, ...others } = written;
  if (Object.keys(others).length > 0 || typeof action !== "string" || !(column === undefined || typeof column === "string")) return null;
  const form: RuleForm = { ...BLANK, column: column ?? "", action };
  if (check === "not_null") return { ...form, kind: "not_null" };
  const [kind, ...more] = isRecord(check) ? Object.keys(check) : [];
  if (!isRecord(check) || kind === undefined || more.length > 0) return null;
  return withCheck(form, kind, check[kind]);
}

function withCheck(form: RuleForm, kind: string, asked: unknown): RuleForm | null {
  switch (kind) {
    case "range": {
      const ends = fields(asked, ["min", "max"]);
      return ends === null ? null : { ...form, kind, min: shown(ends["min"]), max: shown(ends["max"]), texts: isText(ends["min"]) || isText(ends["max"]) };
    }
    case "length": {
      const ends = fields(asked, ["min", "max"]);
      return ends === null ? null : { ...form, kind, shortest: shown(ends["min"]), longest: shown(ends["max"]) };
    }
    case "one_of":
      if (!Array.isArray(asked) || asked.some((value) => shown(value).includes("\n"))) return null;
      return { ...form, kind, values: asked.map(shown).join("\n"), texts: asked.some(isText) };
    case "compare": {
      const parts = fields(asked, ["op", "with"]);
      return parts === null ? null : { ...form, kind, op: shown(parts["op"]), with: shown(parts["with"]) };
    }
    case "pattern":
      return isText(asked) ? { ...form, kind, pattern: asked } : null;
    case "required_if":
      return isText(asked) ? { ...form, kind, condition: asked } : null;
    case "sql":
      return isText(asked) ? { ...form, kind, sql: asked } : null;
    default:
      return null;
  }
}

/** Whether values of this column are written in quotes; null where its type does not tell. */
export function quotesOf(dataType: string | undefined): boolean | null {
  if (dataType === undefined) return null;
  const kind = kindOf(dataType);
  return kind === "other" ? null : kind === "text" || kind === "time";
}

/** What is still to be filled in; null when the line can be tried. */
export function missingOf(form: RuleForm): string | null {
  if (form.kind !== "sql" && form.column === "") return "Choose a column.";
  switch (form.kind) {
    case "range":
      return form.min.trim() === "" && form.max.trim() === "" ? "Say the lowest value, the highest, or both." : null;
    case "length":
      return form.shortest.trim() === "" && form.longest.trim() === "" ? "Say the fewest characters, the most, or both." : null;
    case "one_of":
      return linesOf(form.values).length === 0 ? "Say at least one value." : null;
    case "compare":
      return form.with === "" ? "Choose the other column." : null;
    case "pattern":
      return form.pattern === "" ? "Say the pattern." : null;
    case "required_if":
      return form.condition.trim() === "" ? "Say in which rows the value must be there." : null;
    case "sql":
      return form.sql.trim() === "" ? "Say what must hold." : null;
    case "not_null":
      return null;
  }
}

/** Actions that go with a check, as `check` of the program sees it. */
export function actionsOf(form: RuleForm): Action[] {
  const fits = (action: Action): boolean => {
    if (action === "clamp") return form.kind === "range";
    if (action === "nullify") return form.kind !== "not_null" && form.kind !== "required_if" && form.column !== "";
    return true;
  };
  return ACTIONS.map(({ action }) => action).filter(fits);
}

/** The line under `[clean.rules]`. */
export function lineOf(name: string, form: RuleForm, dataType: string | undefined): string {
  const quotes = quotesOf(dataType) ?? form.texts;
  const column = form.column === "" ? "" : `column = ${text(form.column)}, `;
  return `${key(name)} = { ${column}check = ${checkOf(form, quotes)}, action = ${text(form.action)} }`;
}

function checkOf(form: RuleForm, quotes: boolean): string {
  switch (form.kind) {
    case "not_null":
      return text("not_null");
    case "range":
      return `{ range = ${ends(form.min, form.max, (value) => literal(value, quotes))} }`;
    case "length":
      return `{ length = ${ends(form.shortest, form.longest, (value) => literal(value, false))} }`;
    case "one_of":
      return `{ one_of = [${linesOf(form.values).map((value) => literal(value, quotes)).join(", ")}] }`;
    case "compare":
      return `{ compare = { op = ${text(form.op)}, with = ${text(form.with)} } }`;
    case "pattern":
      return `{ pattern = ${text(form.pattern)} }`;
    case "required_if":
      return `{ required_if = ${text(form.condition)} }`;
    case "sql":
      return `{ sql = ${text(form.sql)} }`;
  }
}

function ends(low: string, high: string, write: (value: string) => string): string {
  const given = [["min", low.trim()], ["max", high.trim()]].filter(([, value]) => value !== "");
  return given.length === 0 ? "{}" : `{ ${given.map(([name, value]) => `${name ?? ""} = ${write(value ?? "")}`).join(", ")} }`;
}

/** What is no number, and neither true nor false, is told by the program: in quotes it gets there as it was typed. */
function literal(value: string, quotes: boolean): string {
  const plain = value.trim();
  return !quotes && /^([+-]?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false)$/.test(plain) ? plain : text(value);
}

/** An empty line is no value, but one that is left of a list with others can be meant: `""` says so. */
function linesOf(values: string): string[] {
  return values.split("\n").filter((line) => line.trim() !== "").map((line) => (line === '""' ? "" : line));
}

/** A text as TOML writes it. */
function text(value: string): string {
  return `"${[...value].map(escaped).join("")}"`;
}

function escaped(letter: string): string {
  if (letter === '"' || letter === "\\") return `\\${letter}`;
  const code = letter.codePointAt(0) ?? 0;
  return code < 0x20 || (code >= 0x7f && code < 0xa0) ? `\\u${code.toString(16).toUpperCase().padStart(4, "0")}` : letter;
}

function key(name: string): string {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : text(name);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** A table with these fields and no other. */
function fields(value: unknown, names: readonly string[]): Record<string, unknown> | null {
  return isRecord(value) && Object.keys(value).every((name) => names.includes(name)) ? value : null;
}

function shown(value: unknown): string {
  if (value === "") return '""';
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}
