import { expect, it } from "vitest";

import { growth, KEPT_SECONDS, merged, remember, type Sample } from "./history";

const sample = (second: number, clean: number): Sample => ({
  at: second * 1000,
  read: 10,
  received: 10,
  records: 1,
  visibleP50: null,
  visibleP99: null,
  lagRows: 0,
  lagSeconds: 0,
  clean,
  rejected: 0,
  archived: 0,
  events: null,
});

it("keeps one sample a second and forgets what is older than it shows", () => {
  let history: Sample[] = [];
  for (let half = 0; half < 2 * (KEPT_SECONDS + 100); half += 1) history = remember(history, sample(half / 2, half));
  expect(history.length).toBeLessThanOrEqual(KEPT_SECONDS + 1);
  expect(new Set(history.map(({ at }) => Math.floor(at / 1000))).size).toBe(history.length);
});

it("tells growth over the last seconds, none before there are two samples, and never a negative one", () => {
  expect(growth([sample(0, 0)], "clean", 5)).toBeNull();
  expect(growth([sample(0, 0), sample(5, 100), sample(10, 300)], "clean", 5)).toBe(40);
  expect(growth([sample(0, 500), sample(5, 100)], "clean", 5)).toBe(0);
});

it("drops samples from the future when the clock is set back", () => {
  expect(remember([sample(100, 1), sample(200, 2)], sample(150, 3)).map(({ at }) => at)).toEqual([100_000, 150_000]);
});

it("fills what was missed with what the program remembers, and repeats nothing", () => {
  const server = [1, 2, 3, 4].map((second) => sample(second, second));
  expect(merged(server, [sample(1, 1), sample(4, 4), sample(5, 5)]).map(({ at }) => at / 1000)).toEqual([1, 2, 3, 4, 5]);
});
