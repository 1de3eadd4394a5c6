/**
 * When a view asks again: after a change, at most once an interval, never two requests at once, and a slow query seldom.
 * Time comes from outside.
 */

import type { Clock } from "../stream/lifecycle";

/** A view's requests take at most this share of the time, so that a slow one does not keep the server busy. */
const BUSY_SHARE = 0.2;

export interface RefreshOptions {
  clock: Clock;
  /** Least time between two starts. */
  intervalMs: number;
  /** Must not throw. */
  load: () => Promise<void>;
}

export class Refresher {
  readonly #options: RefreshOptions;
  #running = false;
  #wanted = false;
  #stopped = false;
  #timer: number | null = null;
  #nextAt = 0;

  constructor(options: RefreshOptions) {
    this.#options = options;
  }

  /** Something changed: load now, or as soon as it may be. */
  poke(): void {
    this.#wanted = true;
    this.#plan();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  #plan(): void {
    if (this.#stopped || this.#running || !this.#wanted || this.#timer !== null) return;
    const wait = this.#nextAt - this.#options.clock.now();
    if (wait <= 0) {
      void this.#load();
      return;
    }
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#timer = null;
      this.#plan();
    }, wait);
  }

  async #load(): Promise<void> {
    const { clock, intervalMs, load } = this.#options;
    const start = clock.now();
    this.#running = true;
    this.#wanted = false;
    await load();
    this.#running = false;
    const took = clock.now() - start;
    this.#nextAt = start + Math.max(intervalMs, took / BUSY_SHARE);
    this.#plan();
  }
}
