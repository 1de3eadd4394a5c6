/** One panel's question: asked again when it changes or the data does, and withdrawn when another takes its place. */

import { ApiError, type ApiClient } from "../api/client";
import { browserClock } from "../state/clock";
import { runQuery } from "../views/query";
import { Refresher } from "../views/refresh";
import type { Result } from "../views/result";
import { Asking } from "./asking";

const INTERVAL_MS = 2000;

/** Runs SQL; ends on the server when the signal says so. */
export function ask(api: ApiClient, sql: string, signal: AbortSignal): Promise<Result> {
  const init: RequestInit = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ sql }), signal };
  return runQuery(api, { path: "/api/sql", init });
}

export class Question<T> {
  answer = $state.raw<T | null>(null);
  problem = $state.raw<string | null>(null);
  /** Whether what is shown answers another question than the one that is asked. */
  old = $state.raw(false);
  /** The question that was asked last. */
  key = $state.raw<string | null>(null);

  readonly #asking: Asking<Result>;

  constructor(api: ApiClient) {
    this.#asking = new Asking<Result>({
      run: (sql, signal) => ask(api, sql, signal),
      refresher: (load) => new Refresher({ clock: browserClock, intervalMs: INTERVAL_MS, load }),
      onAnswer: (result, read) => {
        try {
          this.answer = (read as (result: Result) => T)(result);
          this.problem = null;
        } catch (error) {
          this.problem = error instanceof Error ? error.message : "the answer could not be read";
        }
        this.old = false;
      },
      onProblem: (error) => {
        this.problem = error instanceof ApiError ? error.message : "the answer could not be read";
        this.old = false;
      },
      onOld: () => {
        this.old = true;
      },
    });
  }

  /**
   * Asks `sql`. Under the same `key` the answer is only fresher: the question that is on its way may finish first, and slow ones
   * are asked seldom. With another key it is withdrawn and this one is asked at once. `read` makes the answer of the rows.
   */
  ask(key: string, sql: string, read: (result: Result) => T): void {
    this.key = key;
    this.#asking.ask(key, sql, read);
  }

  stop(): void {
    this.#asking.stop();
  }
}
