/** Something that is asked of the program, again after each change: its last answer, what went wrong, whether it was ever answered. */

import { ApiError } from "../api/client";
import { browserClock } from "../state/clock";
import { Refresher } from "./refresh";

export class Asker<Answer> {
  answer = $state.raw<Answer | null>(null);
  problem = $state.raw<string | null>(null);
  readonly #refresher: Refresher;

  /** `ask` may throw; what an `ApiError` says is told as it is. */
  constructor(ask: () => Promise<Answer>, intervalMs = 1000) {
    const load = async (): Promise<void> => {
      try {
        this.answer = await ask();
        this.problem = null;
      } catch (error) {
        this.problem = error instanceof ApiError ? error.message : "the answer could not be read";
      }
    };
    this.#refresher = new Refresher({ clock: browserClock, intervalMs, load });
  }

  /** Asks now, or as soon as it may. */
  poke(): void {
    this.#refresher.poke();
  }

  stop(): void {
    this.#refresher.stop();
  }
}
