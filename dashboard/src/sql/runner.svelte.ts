/** The one statement that runs, what it gave, and exports. A cancelled one ends on the server, too: its connection is dropped. */

import { ApiError, ARROW_STREAM, type ApiClient, type SqlPlace } from "../api/client";
import type { QueryResult } from "../api/types";
import { resultFromJson } from "../views/result";
import { frameOf, type Frame } from "./frame";

export interface Trouble {
  text: string;
  at: SqlPlace | null;
}

export type Format = "csv" | "parquet";

const TIMED_OUT = 408;

export class Runner {
  frame = $state.raw<Frame | null>(null);
  /** The statement that `frame` answers. */
  answered = $state.raw<string | null>(null);
  trouble = $state.raw<Trouble | null>(null);
  /** When the statement that runs was sent, by this browser's clock. */
  since = $state.raw<number | null>(null);
  cancelled = $state.raw(false);
  exporting = $state.raw<Format | null>(null);

  readonly #api: ApiClient;
  #running: AbortController | null = null;
  #export: AbortController | null = null;

  constructor(api: ApiClient) {
    this.#api = api;
  }

  /** Runs a statement in the place of the one before; gives what came of it, null when it was cancelled. */
  async run(sql: string, limit: number): Promise<{ rows: number | null; ms: number } | null> {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    const start = Date.now();
    this.since = start;
    this.trouble = null;
    this.cancelled = false;
    let rows: number | null = null;
    try {
      const frame = await this.#ask(sql, limit, running.signal);
      if (running.signal.aborted) return null;
      this.frame = frame;
      this.answered = sql;
      rows = frame.length;
    } catch (error) {
      if (running.signal.aborted) return null;
      this.trouble = troubleOf(error);
    }
    this.#running = null;
    this.since = null;
    return { rows, ms: Date.now() - start };
  }

  cancel(): void {
    if (this.#running === null) return;
    this.#running.abort();
    this.#running = null;
    this.since = null;
    this.cancelled = true;
  }

  /** All rows of a statement as a file. */
  async export(sql: string, format: Format, save: (file: Blob, name: string) => void): Promise<void> {
    this.#export?.abort();
    const made = new AbortController();
    this.#export = made;
    this.exporting = format;
    this.trouble = null;
    try {
      const response = await this.#api.send("/api/sql/export", "*/*", post({ sql, format }, made.signal));
      const file = await response.blob();
      if (!made.signal.aborted) save(file, `rows.${format}`);
    } catch (error) {
      if (!made.signal.aborted) this.trouble = troubleOf(error);
    }
    if (this.#export === made) this.exporting = null;
  }

  stop(): void {
    this.#running?.abort();
    this.#export?.abort();
    this.exporting = null;
  }

  async #ask(sql: string, limit: number, signal: AbortSignal): Promise<Frame> {
    const init = post({ sql, limit }, signal);
    const response = await this.#api.send("/api/sql", ARROW_STREAM, init);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const { frameFromArrow } = await import("./arrow");
    const facts = { truncated: response.headers.get("x-millstream-truncated") === "true", elapsedMs: Number(response.headers.get("x-millstream-elapsed-ms") ?? 0) };
    try {
      return frameFromArrow(bytes, facts);
    } catch {
      // A type that Arrow's JavaScript does not read: JSON has a form for each.
      const body = await this.#api.json<QueryResult>("/api/sql", init);
      return frameOf(resultFromJson(body.columns, body.rows, body.truncated), body.elapsed_ms, bytes.length);
    }
  }
}

function post(body: object, signal: AbortSignal): RequestInit {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
}

function troubleOf(error: unknown): Trouble {
  if (!(error instanceof ApiError)) return { text: "the answer could not be read", at: null };
  const text = error.status === TIMED_OUT ? `${error.message} — the server has stopped working on it` : error.message;
  return { text, at: error.at };
}
