import { expect, it } from "vitest";

import { ApiError } from "../api/client";
import { Once } from "./once.svelte";

it("keeps the answer, or why there is none", async () => {
  const once = new Once<number>();
  expect(await once.ask(() => Promise.resolve(1))).toBe(1);
  expect([once.answer, once.problem, once.busy]).toEqual([1, null, false]);
  expect(await once.ask(() => Promise.reject(new ApiError("no\n  ^", 400)))).toBeNull();
  expect([once.answer, once.problem, once.busy]).toEqual([null, "no\n  ^", false]);
});

it("takes no answer to what was withdrawn", async () => {
  const once = new Once<number>();
  const answers: ((answer: number) => void)[] = [];
  const signals: AbortSignal[] = [];
  const ask = (): Promise<number | null> =>
    once.ask((signal) => {
      signals.push(signal);
      return new Promise((resolve) => answers.push(resolve));
    });
  const [first, second] = [ask(), ask()];
  answers[1]?.(2);
  expect(await second).toBe(2);
  answers[0]?.(1);
  expect(await first).toBeNull();
  expect([once.answer, signals.map(({ aborted }) => aborted)]).toEqual([2, [true, false]]);
  const third = ask();
  once.clear();
  expect(once.busy).toBe(false);
  answers[2]?.(3);
  expect(await third).toBeNull();
  expect(once.answer).toBeNull();
});
