/** Something that is asked of the program when somebody wants it: its answer, or what went wrong, until it is asked again. */

import { ApiError } from "../api/client";

export class Once<Answer> {
  answer = $state.raw<Answer | null>(null);
  problem = $state.raw<string | null>(null);
  busy = $state(false);
  #asking: AbortController | null = null;

  /** What was asked before is withdrawn. Gives the answer, null where there is none. */
  async ask(what: (signal: AbortSignal) => Promise<Answer>): Promise<Answer | null> {
    this.clear();
    const asking = new AbortController();
    this.#asking = asking;
    this.busy = true;
    let answer: Answer | null = null;
    let problem: string | null = null;
    try {
      answer = await what(asking.signal);
    } catch (error) {
      problem = error instanceof ApiError ? error.message : "the answer could not be read";
    }
    if (this.#asking !== asking) return null;
    this.#asking = null;
    [this.busy, this.answer, this.problem] = [false, answer, problem];
    return answer;
  }

  /** Forgets the answer, and withdraws what is asked. */
  clear(): void {
    this.#asking?.abort();
    this.#asking = null;
    [this.busy, this.answer, this.problem] = [false, null, null];
  }
}
