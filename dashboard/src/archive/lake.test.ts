import { expect, it } from "vitest";

import type { ArchiveChange } from "../api/detail";
import { columnVersions, growthOf, operationWord, rowsAsOf, sizesOf } from "./lake";

const change = (version: number, rows: number, more: Partial<ArchiveChange> = {}): ArchiveChange => ({
  version,
  at: new Date(version * 1000).toISOString(),
  operation: "WRITE",
  rows,
  files: 1,
  bytes: 10,
  columns: [],
  ...more,
});

it("counts rows back from what there is now", () => {
  const detail = { rows: 100, versions: [change(3, 40), change(2, 0, { operation: "ADD COLUMN", columns: ["tip"] }), change(1, 60), change(0, 0)] };
  expect(growthOf(detail).map(({ version, rows }) => [version, rows])).toEqual([[0, 0], [1, 60], [2, 60], [3, 100]]);
  expect(rowsAsOf(detail, 1)).toBe(60);
  expect(rowsAsOf(detail, 9)).toBeNull();
  expect(columnVersions(detail.versions).get("tip")?.version).toBe(2);
});

it("puts every file in one class of size", () => {
  const sizes = sizesOf([{ bytes: 1 }, { bytes: 64 * 1024 }, { bytes: 1024 ** 3 }]);
  expect(sizes.map(({ files }) => files)).toEqual([1, 1, 0, 0, 0, 1]);
});

it("says what a version did", () => {
  expect(["WRITE", "OPTIMIZE", "SET TBLPROPERTIES"].map((operation) => operationWord({ operation }))).toEqual(["rows", "compacted", "set tblproperties"]);
});
