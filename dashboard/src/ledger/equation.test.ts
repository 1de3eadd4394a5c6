import { expect, it } from "vitest";

import type { FileLedger, FileState } from "../api/types";
import { byNeed, missing, terms, uncounted } from "./equation";

const counts = { rows: 100, delivered: 60, rejected: 5, deduplicated: 20, filtered: 3, unread: 2, in_flight: 10 };

it("adds up when every row has an outcome, and tells what is missing or too much", () => {
  expect(missing(counts)).toBe(0);
  expect(missing({ ...counts, delivered: 58 })).toBe(2);
  expect(missing({ ...counts, delivered: 61 })).toBe(-1);
  expect(terms(counts).map((term) => term.rows)).toEqual([60, 5, 20, 3, 2, 10]);
});

it("knows that a waiting file without rows has not been counted yet", () => {
  const file = { file: "f", sequence: 0, reason: null, size_bytes: 1 };
  expect(uncounted([{ ...counts, ...file, state: "waiting" }, { ...counts, ...file, state: "waiting", rows: 0 }, { ...counts, ...file, state: "done", rows: 0 }])).toBe(1);
});

it("puts the files that need a look first, each group in the order of publishing", () => {
  const file = (sequence: number, state: FileState): FileLedger => ({ ...counts, file: `f${sequence}`, sequence, state, reason: null, size_bytes: 1 });
  const files = [file(0, "done"), file(1, "done"), file(2, "quarantined"), file(3, "published"), file(4, "reading"), file(5, "waiting")];
  expect(byNeed(files).map((one) => one.sequence)).toEqual([2, 4, 3, 5, 0, 1]);
});
