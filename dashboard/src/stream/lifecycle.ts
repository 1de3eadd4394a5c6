/** The life of the connection: connect, notice silence, wait, connect again. Time, chance and network come from outside. */

import { backoffMs } from "./backoff";
import { readEventStream, type ConnectionEnd } from "./connection";
import type { ServerEvent } from "./protocol";

export type StreamState =
  | { kind: "connecting"; attempt: number }
  | { kind: "live" }
  /** Lost; the next attempt starts at `retryAt`. */
  | { kind: "waiting"; attempt: number; retryAt: number; why: string }
  /** Somebody has to log in. */
  | { kind: "unauthorized" }
  | { kind: "stopped" };

export interface Clock {
  now(): number;
  setTimeout(run: () => void, delayMs: number): number;
  clearTimeout(handle: number): void;
}

export interface LifecycleOptions {
  url: string;
  token: () => string | null;
  fetch: typeof fetch;
  clock: Clock;
  random: () => number;
  /** Without a byte for this long the line counts as dead; the server sends a heartbeat every 5 s. */
  silenceMs: number;
  onState: (state: StreamState) => void;
  onAlive: (at: number) => void;
  onEvent: (event: ServerEvent) => void;
}

/** Keeps one event stream open until `stop`. */
export class StreamLifecycle {
  readonly #options: LifecycleOptions;
  #lastEventId = "";
  #attempt = 0;
  #abort: AbortController | null = null;
  #retryTimer: number | null = null;
  #silenceTimer: number | null = null;
  #silent = false;
  /** Each `run` has a number: what an older one still reports is dropped. */
  #run = 0;

  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  /** Connects; while a connection is open or under way it is replaced. */
  start(): void {
    this.#end();
    void this.#connect();
  }

  /** As `start`, but only when a retry is being waited for: when the page is shown again, or the network is back. */
  retryNow(): void {
    if (this.#retryTimer !== null) this.start();
  }

  stop(): void {
    this.#end();
    this.#options.onState({ kind: "stopped" });
  }

  async #connect(): Promise<void> {
    const run = (this.#run += 1);
    const abort = new AbortController();
    this.#abort = abort;
    this.#silent = false;
    this.#options.onState({ kind: "connecting", attempt: this.#attempt });
    this.#watchSilence(run);
    const result = await readEventStream({
      url: this.#options.url,
      token: this.#options.token(),
      lastEventId: this.#lastEventId,
      fetch: this.#options.fetch,
      signal: abort.signal,
      onOpen: () => {
        if (run === this.#run) this.#options.onState({ kind: "live" });
      },
      onAlive: () => {
        if (run !== this.#run) return;
        this.#attempt = 0;
        this.#watchSilence(run);
        this.#options.onAlive(this.#options.clock.now());
      },
      onEvent: (event) => {
        if (run === this.#run) this.#options.onEvent(event);
      },
    });
    if (run !== this.#run) return;
    this.#lastEventId = result.lastEventId;
    this.#clearTimers();
    this.#after(result.end, result.retryMs);
  }

  #after(end: ConnectionEnd, retryMs: number | null): void {
    if (end.kind === "unauthorized") {
      this.#options.onState({ kind: "unauthorized" });
      return;
    }
    this.#attempt += 1;
    const delay = backoffMs(this.#attempt, this.#options.random(), retryMs ?? undefined);
    this.#retryTimer = this.#options.clock.setTimeout(() => {
      this.#retryTimer = null;
      void this.#connect();
    }, delay);
    this.#options.onState({
      kind: "waiting",
      attempt: this.#attempt,
      retryAt: this.#options.clock.now() + delay,
      why: this.#silent ? "the server went silent" : explain(end),
    });
  }

  #watchSilence(run: number): void {
    const { clock, silenceMs } = this.#options;
    if (this.#silenceTimer !== null) clock.clearTimeout(this.#silenceTimer);
    this.#silenceTimer = clock.setTimeout(() => {
      if (run !== this.#run) return;
      this.#silent = true;
      this.#abort?.abort();
    }, silenceMs);
  }

  #end(): void {
    this.#run += 1;
    this.#clearTimers();
    this.#abort?.abort();
    this.#abort = null;
  }

  #clearTimers(): void {
    const { clock } = this.#options;
    if (this.#retryTimer !== null) clock.clearTimeout(this.#retryTimer);
    if (this.#silenceTimer !== null) clock.clearTimeout(this.#silenceTimer);
    this.#retryTimer = null;
    this.#silenceTimer = null;
  }
}

function explain(end: ConnectionEnd): string {
  switch (end.kind) {
    case "refused":
      return end.text === "" ? `the server answered ${end.status}` : `${end.text} (${end.status})`;
    case "ended":
      return "the server closed the stream";
    case "lost":
      return "the server cannot be reached";
    case "unauthorized":
      return "the server wants a login";
    case "stopped":
      return "the connection was closed";
  }
}
