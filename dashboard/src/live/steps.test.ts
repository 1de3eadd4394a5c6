import { expect, it } from "vitest";

import { MARKS, place } from "./steps";

it("gives each tenfold the same width, and nothing leaves the scale", () => {
  const steps = MARKS.map(({ seconds }) => place(seconds));
  const widths = steps.slice(1).map((at, index) => at - (steps[index] ?? 0));
  for (const width of widths) expect(width).toBeCloseTo(widths[0] ?? 0);
  expect(place(0)).toBe(0);
  expect(place(1e6)).toBe(1);
});
