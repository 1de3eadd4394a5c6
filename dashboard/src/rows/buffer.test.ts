import { expect, it } from "vitest";

import type { Result } from "../views/result";
import { collected, KEPT_ROWS, rowName } from "./buffer";

const result = (numbers: number[], name = "fare"): Result => ({
  columns: [
    { name, dataType: "Float64", kind: "number" },
    { name: "_file", dataType: "Utf8", kind: "text" },
    { name: "_row", dataType: "Int64", kind: "number" },
  ],
  rows: numbers.map((number) => [1, "a.parquet", number]),
  truncated: false,
});
const rows = (of: Result): unknown[] => of.rows.map((row) => row[2]);

it("keeps each row once, newest first", () => {
  const first = collected(null, result([3, 2, 1]));
  expect(rows(collected(first, result([5, 4, 3])))).toEqual([5, 4, 3, 2, 1]);
  expect(collected(first, result([3, 2, 1]))).toBe(first);
});

it("holds no more than it shows, and begins anew with other columns", () => {
  const many = collected(result([0]), result(Array.from({ length: KEPT_ROWS + 50 }, (_row, index) => index + 1)));
  expect(many.rows.length).toBe(KEPT_ROWS);
  expect(rows(collected(result([1]), result([2], "tip")))).toEqual([2]);
});

it("names a row by file and number, where both are there", () => {
  const one = result([7]);
  expect(rowName(one, one.rows[0] ?? [])).toEqual({ file: "a.parquet", row: 7 });
  expect(rowName({ ...one, columns: one.columns.slice(0, 1) }, [1])).toBeNull();
});
