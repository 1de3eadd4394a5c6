import { expect, it } from "vitest";

import type { RuleInfo } from "../api/detail";
import { rejectOf, valuesOf } from "./reject";

const rules: RuleInfo[] = [
  { name: "fare", column: "fare_amount", check: "0 to 500", action: "reject", toml: null, written: null },
  { name: "forward", column: "dropoff_datetime", check: "> pickup_datetime", action: "reject", toml: null, written: null },
  { name: "zones", column: null, check: "…", action: "reject", toml: null, written: null },
];
const row = ["a.parquet", 7, 1000, ["fare", "forward", "zones"], ["-3 is below 0", "too early", "no zone"], '{"VendorID":2,"tpep_dropoff_datetime":"x","fare_amount":-3}'];

it("puts each reason beside the value that it speaks of, those first", () => {
  const reject = rejectOf(row);
  expect(reject).not.toBeNull();
  if (reject === null) return;
  const { values, whole } = valuesOf(reject, rules);
  expect(values.map(({ column, broken }) => [column, broken.map(({ rule }) => rule)])).toEqual([["tpep_dropoff_datetime", ["forward"]], ["fare_amount", ["fare"]], ["VendorID", []]]);
  expect(whole).toEqual([{ rule: "zones", reason: "no zone" }]);
});

it("survives a row that was too large to keep", () => {
  const reject = rejectOf(["a", 1, 0, ["record:too_large"], ["too large"], null]);
  expect(reject?.original).toBeNull();
  expect(reject === null ? [] : valuesOf(reject, rules).whole).toHaveLength(1);
  expect(rejectOf(["a"])).toBeNull();
});
