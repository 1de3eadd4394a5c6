import { expect, it } from "vitest";

import type { RowTrace } from "../api/detail";
import { ruleResults, stepsOf } from "./way";

const rules: RowTrace["rules"] = [
  { name: "fare", column: "fare", check: "0 to 500", action: "reject", toml: null, written: null },
  { name: "distance", column: "distance", check: "0 to 200", action: "clamp", toml: null, written: null },
];
const trace = (change: Partial<RowTrace>, columns: Record<string, unknown> = {}): RowTrace => ({
  outcome: "delivered",
  columns: Object.keys(columns).map((name) => ({ name, data_type: "" })),
  values: Object.values(columns),
  log: { topic: "rows", partition: 1, offset: 17, first_offset: 17, end_offset: 18, in_live: true },
  archive: { file: "part-1.parquet", version: 3, at: "2026-01-01T00:00:00Z" },
  rules,
  ...change,
});
const states = (of: RowTrace): string[] => stepsOf(of, "a.parquet", 5, null).map(({ state }) => state);

it("tells every step of a row that went all the way", () => {
  expect(states(trace({}))).toEqual(["done", "done", "done", "done", "done"]);
  expect(stepsOf(trace({}), "a.parquet", 5, null)[2]?.facts).toContainEqual({ name: "offset", value: "17" });
});

it("stops a rejected row at the rules, with the reason of each", () => {
  const rejected = trace({ outcome: "rejected" }, { rules: ["fare", "type:tip"], reasons: ["-1 is below 0", "no number"] });
  expect(states(rejected)[1]).toBe("stopped");
  expect(ruleResults(rejected).map(({ rule, result, reason }) => [rule.name, result, reason])).toEqual([
    ["fare", "rejected", "-1 is below 0"],
    ["distance", "passed", null],
    ["type:tip", "rejected", "no number"],
  ]);
});

it("knows a mark from a pass, and says what is not there yet", () => {
  const marked = trace({ archive: null, log: { topic: "rows", partition: 0, offset: null, first_offset: 4, end_offset: 9, in_live: true } }, { _marks: ["distance"] });
  expect(ruleResults(marked)[1]?.result).toBe("marked");
  expect(states(marked)[4]).toBe("ahead");
  expect(stepsOf(marked, "a", 1, null)[2]?.facts).toContainEqual({ name: "offset", value: "within 4 and 8" });
  expect(states(trace({ outcome: "not_there", log: null, archive: null }))).toEqual(["done", "stopped", "ahead", "ahead", "ahead"]);
});
