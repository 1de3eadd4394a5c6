import { expect, it } from "vitest";

import type { Clock } from "../stream/lifecycle";
import { Refresher } from "./refresh";

function setUp(tookMs: number) {
  let now = 0;
  let timers: { at: number; run: () => void }[] = [];
  const clock: Clock = {
    now: () => now,
    setTimeout: (run, delayMs) => timers.push({ at: now + delayMs, run }),
    clearTimeout: () => (timers = []),
  };
  const starts: number[] = [];
  let finish: (() => void) | null = null;
  const refresher = new Refresher({
    clock,
    intervalMs: 1000,
    load: () => {
      if (finish !== null) throw new Error("two loads at once");
      starts.push(now);
      return new Promise<void>((resolve) => {
        finish = () => {
          finish = null;
          resolve();
        };
      });
    },
  });
  const step = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 50) {
      now += 50;
      const started = starts.at(-1);
      if (finish !== null && started !== undefined && now - started >= tookMs) finish();
      await Promise.resolve();
      await Promise.resolve();
      const due = timers.filter((timer) => timer.at <= now);
      timers = timers.filter((timer) => timer.at > now);
      for (const timer of due) timer.run();
    }
  };
  return { refresher, starts, step };
}

it("loads at once, and at most once an interval however many changes come", async () => {
  const { refresher, starts, step } = setUp(50);
  for (let change = 0; change < 59; change += 1) {
    refresher.poke();
    await step(50);
  }
  expect(starts).toEqual([0, 1000, 2000]);
});

it("never asks twice at once, and leaves a slow query long rests", async () => {
  const { refresher, starts, step } = setUp(600);
  for (let change = 0; change < 140; change += 1) {
    refresher.poke();
    await step(50);
  }
  expect(starts).toEqual([0, 3000, 6000]);
});

it("does not ask when nothing changed, nor after it was stopped", async () => {
  const { refresher, starts, step } = setUp(50);
  refresher.poke();
  await step(5000);
  expect(starts).toEqual([0]);
  refresher.stop();
  refresher.poke();
  await step(5000);
  expect(starts).toEqual([0]);
});
