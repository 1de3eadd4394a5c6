import { expect, it } from "vitest";

import { ACTIONS, actionsOf, BLANK, CHECKS, formOf, lineOf, missingOf, quotesOf, type RuleForm } from "./form";

const CASES: [string, unknown, string | undefined, string][] = [
  ["fare", { column: "fare", check: { range: { min: 0, max: 500.5 } }, action: "reject" }, "Decimal128(10, 2)", 'fare = { column = "fare", check = { range = { min = 0, max = 500.5 } }, action = "reject" }'],
  ["since", { column: "at", check: { range: { min: "2020-01-01" } }, action: "clamp" }, "Timestamp(µs)", 'since = { column = "at", check = { range = { min = "2020-01-01" } }, action = "clamp" }'],
  ["kinds", { column: "kind", check: { one_of: [1, 2] }, action: "nullify" }, "Int32", 'kinds = { column = "kind", check = { one_of = [1, 2] }, action = "nullify" }'],
  ["codes", { column: "code", check: { one_of: ["1", "", 'a"b\\'] }, action: "warn" }, "Utf8View", 'codes = { column = "code", check = { one_of = ["1", "", "a\\"b\\\\"] }, action = "warn" }'],
  ["paid", { column: "paid", check: { one_of: [true] }, action: "fail" }, undefined, 'paid = { column = "paid", check = { one_of = [true] }, action = "fail" }'],
  ["two words", { column: "Größe", check: "not_null", action: "reject" }, undefined, '"two words" = { column = "Größe", check = "not_null", action = "reject" }'],
  ["p", { column: "code", check: { pattern: "^\\d+$|${X}" }, action: "reject" }, "Utf8", 'p = { column = "code", check = { pattern = "^\\\\d+$|${X}" }, action = "reject" }'],
  ["l", { column: "code", check: { length: { max: 3 } }, action: "reject" }, "Utf8", 'l = { column = "code", check = { length = { max = 3 } }, action = "reject" }'],
  ["c", { column: "a", check: { compare: { op: ">=", with: "b" } }, action: "reject" }, "Int64", 'c = { column = "a", check = { compare = { op = ">=", with = "b" } }, action = "reject" }'],
  ["r", { column: "a", check: { required_if: "b > 1\nAND c" }, action: "warn" }, "Int64", 'r = { column = "a", check = { required_if = "b > 1\\u000AAND c" }, action = "warn" }'],
  ["s", { check: { sql: "a <> 'x'" }, action: "warn" }, undefined, "s = { check = { sql = \"a <> 'x'\" }, action = \"warn\" }"],
];

it("writes the line that a rule was read from", () => {
  for (const [name, written, dataType, line] of CASES) {
    const form = formOf(written);
    expect(form, line).not.toBeNull();
    if (form !== null) {
      expect(lineOf(name, form, dataType)).toBe(line);
      expect(missingOf(form)).toBeNull();
      expect(actionsOf(form)).toContain(form.action);
    }
  }
});

it("has no form for what it has no field for", () => {
  for (const written of [
    null,
    "x",
    { check: "not_null" },
    { check: "there", action: "warn" },
    { check: { range: { min: 0 }, length: { max: 1 } }, action: "warn" },
    { check: { range: { low: 0 } }, action: "warn" },
    { check: { one_of: ["a\nb"] }, action: "warn" },
    { check: { sql: 1 }, action: "warn" },
    { check: { sql: "a" }, action: "warn", note: "b" },
  ]) {
    expect(formOf(written), JSON.stringify(written)).toBeNull();
  }
});

it("quotes by the type of the column, and otherwise as it was", () => {
  const range = (changes: Partial<RuleForm>): RuleForm => ({ ...BLANK, column: "a", ...changes });
  expect(lineOf("x", range({ min: " 7 " }), "Utf8")).toContain('min = "7"');
  expect(lineOf("x", range({ min: " 7 " }), "Float64")).toContain("min = 7 }");
  expect(lineOf("x", range({ min: "7", texts: true }), undefined)).toContain('min = "7"');
  expect(lineOf("x", range({ min: "-1.5e3" }), "Int8")).toContain("min = -1.5e3");
  for (const odd of ["1,5", "07", ".5", "$3", "1 2", "nan"]) expect(lineOf("x", range({ min: odd }), "Int8")).toContain(`min = "${odd}"`);
  expect([quotesOf("Int64"), quotesOf("Date32"), quotesOf("Struct"), quotesOf(undefined)]).toEqual([false, true, null, null]);
});

it("says what is to be filled in, for every check", () => {
  for (const { kind } of CHECKS) {
    expect(missingOf({ ...BLANK, kind, op: "" }) === null, kind).toBe(false);
    if (kind !== "not_null") expect(missingOf({ ...BLANK, kind, column: "a" }), kind).not.toBeNull();
  }
});

it("offers the actions that the program takes", () => {
  const all = ACTIONS.map(({ action }) => action);
  expect(actionsOf({ ...BLANK, column: "a" })).toEqual(all);
  expect(actionsOf({ ...BLANK, column: "a", kind: "not_null" })).toEqual(["reject", "warn", "fail"]);
  expect(actionsOf({ ...BLANK, kind: "sql" })).toEqual(["reject", "warn", "fail"]);
  expect(actionsOf({ ...BLANK, column: "a", kind: "pattern" })).toEqual(["reject", "nullify", "warn", "fail"]);
});
