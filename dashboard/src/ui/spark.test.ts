import { expect, it } from "vitest";

import { sparkPath } from "./spark";

it("draws from edge to edge, from zero up, and nothing of a single value", () => {
  expect(sparkPath([0, 5, 10], 100, 10)).toBe("M0 11L50 6L100 1");
  expect(sparkPath([0, 0], 100, 10)).toBe("M0 11L100 11");
  expect(sparkPath([3], 100, 10)).toBeNull();
});
