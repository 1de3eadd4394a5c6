/** When a question is asked, and which answers still count. Time and network come from outside. */

import type { Refresher } from "../views/refresh";

export interface AskingOptions<Rows> {
  run: (sql: string, signal: AbortSignal) => Promise<Rows>;
  refresher: (load: () => Promise<void>) => Pick<Refresher, "poke" | "stop">;
  onAnswer: (rows: Rows, read: unknown) => void;
  onProblem: (error: unknown) => void;
  /** Another question is asked: what is shown is none of its answer. */
  onOld: () => void;
}

interface Asked {
  sql: string;
  /** Makes of the rows what the panel shows; kept beside the SQL that it fits. */
  read: unknown;
}

export class Asking<Rows> {
  readonly #options: AskingOptions<Rows>;
  #key: string | null = null;
  #asked: Asked | null = null;
  #refresher: Pick<Refresher, "poke" | "stop"> | null = null;
  #withdraw: AbortController | null = null;

  constructor(options: AskingOptions<Rows>) {
    this.#options = options;
  }

  ask(key: string, sql: string, read: unknown): void {
    this.#asked = { sql, read };
    let refresher = this.#refresher;
    if (key !== this.#key || refresher === null) {
      this.stop();
      this.#key = key;
      this.#options.onOld();
      refresher = this.#options.refresher(() => this.#load());
      this.#refresher = refresher;
    }
    refresher.poke();
  }

  stop(): void {
    this.#refresher?.stop();
    this.#refresher = null;
    this.#withdraw?.abort();
    this.#withdraw = null;
    this.#key = null;
  }

  async #load(): Promise<void> {
    const asked = this.#asked;
    if (asked === null) return;
    const withdraw = new AbortController();
    this.#withdraw = withdraw;
    try {
      const rows = await this.#options.run(asked.sql, withdraw.signal);
      if (!withdraw.signal.aborted) this.#options.onAnswer(rows, asked.read);
    } catch (error) {
      if (!withdraw.signal.aborted) this.#options.onProblem(error);
    }
  }
}
