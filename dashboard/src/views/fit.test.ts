import { expect, it } from "vitest";

import { fitOf } from "./fit";

it("finds the line that points lie on, and how well they do", () => {
  const fit = fitOf([[0, 1], [1, 3], [2, 5]]);
  expect(fit?.slope).toBeCloseTo(2);
  expect(fit?.r2).toBeCloseTo(1);
  expect(fit?.points).toEqual([[0, 1], [2, 5]]);
  expect(fitOf([[0, 0], [1, 10], [2, 0]])?.r2).toBeCloseTo(0);
});

it("has no line for too few points, or for those above one another", () => {
  expect(fitOf([[0, 1], [1, 2]])).toBeNull();
  expect(fitOf([[1, 1], [1, 2], [1, 3]])).toBeNull();
});
