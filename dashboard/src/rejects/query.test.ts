import { expect, it } from "vitest";

import { byFile, byRule, byTime, newest, stepFor } from "./query";

const ALL = { rule: null, file: null, time: null };

it("asks for everything without a filter", () => {
  expect(byFile(ALL)).not.toMatch(/WHERE/);
  expect(newest(ALL, 10)).toMatch(/LIMIT 10$/);
});

it("quotes what comes from outside", () => {
  expect(byRule({ ...ALL, file: "it's; DROP" })).toContain("_file = 'it''s; DROP'");
});

it("leaves each list free of its own filter, so that another can be chosen", () => {
  const filter = { rule: "fare", file: "a", time: { from: 0, to: 1000 } };
  expect(byRule(filter)).not.toContain("'fare'");
  expect(byFile(filter)).not.toContain("'a'");
  expect(byTime(filter, 60)).not.toContain("TIMESTAMP");
  for (const part of ["'fare'", "'a'", "1970-01-01T00:00:01.000Z"]) expect(newest(filter, 1)).toContain(part);
});

it("chooses a step that makes few enough bars", () => {
  expect(stepFor(30_000)).toBe(1);
  expect(stepFor(3_600_000)).toBe(60);
  for (const span of [1e3, 1e6, 1e9, 1e11]) expect(span / 1000 / stepFor(span)).toBeLessThanOrEqual(60);
});
