/** All that the page knows, in one place: filled by the event stream, read by the panels. */

import { ApiClient, ApiError } from "../api/client";
import { readToken } from "../api/token";
import type { HistorySample } from "../api/detail";
import type { Ledger, NewestRows, Status, TableInfo, ViewInfo } from "../api/types";
import { uncounted } from "../ledger/equation";
import { StreamLifecycle, type StreamState } from "../stream/lifecycle";
import type { ServerEvent } from "../stream/protocol";
import { resultFromJson, withTypes, type Result } from "../views/result";
import { patient } from "../log/trouble";
import { connectionText } from "../shell/connection";
import { browserClock } from "./clock";
import { Session } from "./session.svelte";
import { merged, remember, sampleOf, sampleOfServer, type Sample } from "./history";

const SILENCE_MS = 15_000;

export class Dashboard {
  status = $state.raw<Status | null>(null);
  /** When it came, by this browser's clock. */
  statusAt = $state.raw(0);
  ledger = $state.raw<Ledger | null>(null);
  views = $state.raw<ViewInfo[] | null>(null);
  tables = $state.raw<TableInfo[] | null>(null);
  history = $state.raw<Sample[]>([]);
  connection = $state.raw<StreamState>({ kind: "connecting", attempt: 0 });
  /** When the last byte came; null before the first. */
  aliveAt = $state.raw<number | null>(null);
  /** Why the lists of views and tables could not be had. */
  loadError = $state.raw<string | null>(null);
  now = $state.raw(Date.now());
  /** Counts the changes of the data, for what asks again after one. */
  changes = $state.raw(0);

  /** Newest version of the archive, for what asks again when there is another. */
  readonly archiveVersion = $derived(this.status?.archive.version ?? null);

  #rows = $state.raw<NewestRows | null>(null);
  /** The event names the columns only: their types are those of the live table. */
  readonly newest = $derived.by<Result | null>(() => {
    if (this.#rows === null) return null;
    const live = this.tables?.find((table) => table.name === "live")?.columns ?? [];
    return resultFromJson(withTypes(this.#rows.columns, live), this.#rows.rows);
  });

  /** The connection in words. */
  readonly words = $derived(connectionText(this.connection, this.aliveAt, this.now));
  /** Whether what is shown is of this moment: nothing moves on what is old. */
  readonly fresh = $derived(this.words.stale === null);
  /** Counts on between two statuses, and stands still on what is old. */
  readonly statusAgeMs = $derived(this.fresh ? this.now - this.statusAt : 0);
  /** The status without a trouble that is too young to be told. */
  readonly shown = $derived(this.status === null ? null : patient(this.status, this.statusAgeMs));
  /** Files found whose rows are not counted yet; before the ledger is there, a file that waits may hold anything. */
  readonly uncounted = $derived(this.ledger === null ? (this.status?.source.files_waiting ?? 0) : uncounted(this.ledger.files));

  readonly api: ApiClient;
  readonly session: Session;
  readonly #stream: StreamLifecycle;

  constructor() {
    const send: typeof fetch = (input, init) => fetch(input, init);
    this.api = new ApiClient(send, readToken, () => void this.session.ask());
    this.session = new Session(this.api, readToken, () => {
      this.reconnect();
    });
    this.#stream = new StreamLifecycle({
      url: "/api/stream",
      token: readToken,
      fetch: send,
      clock: browserClock,
      random: Math.random,
      silenceMs: SILENCE_MS,
      onState: (state) => {
        this.connection = state;
        if (state.kind === "live") void this.#loadAll();
        else if (state.kind === "unauthorized") void this.session.ask();
      },
      onAlive: (at) => {
        this.aliveAt = at;
      },
      onEvent: (event) => {
        this.#take(event);
      },
    });
  }

  /** Starts; the function that it gives back ends it. */
  start(): () => void {
    let ended = false;
    // Who has to log in first asks for nothing else.
    void this.session.ask().then(() => {
      if (!ended && this.session.door === "in") this.#stream.start();
    });
    const tick = window.setInterval(() => (this.now = Date.now()), 1000);
    const wake = (): void => {
      if (!document.hidden) this.#stream.retryNow();
    };
    document.addEventListener("visibilitychange", wake);
    window.addEventListener("online", wake);
    return () => {
      ended = true;
      this.#stream.stop();
      window.clearInterval(tick);
      document.removeEventListener("visibilitychange", wake);
      window.removeEventListener("online", wake);
    };
  }

  /** Connects anew, and asks for everything. */
  reconnect(): void {
    this.loadError = null;
    this.#stream.start();
  }

  retryNow(): void {
    this.#stream.retryNow();
  }

  /** On every connect: what changed while there was none is in these answers. */
  async #loadAll(): Promise<void> {
    void this.session.ask();
    try {
      const [status, ledger, views, tables, history] = await Promise.all([
        this.api.json<Status>("/api/status"),
        this.api.json<Ledger>("/api/ledger"),
        this.api.json<ViewInfo[]>("/api/views"),
        this.api.json<TableInfo[]>("/api/tables"),
        this.api.json<HistorySample[]>("/api/history"),
      ]);
      this.history = merged(history.map(sampleOfServer), this.history);
      this.#takeStatus(status);
      this.ledger = ledger;
      this.views = views;
      this.tables = tables;
      this.loadError = null;
    } catch (error) {
      this.loadError = error instanceof ApiError ? error.message : "the server's answer could not be read";
    }
    this.changes += 1;
  }

  #take(event: ServerEvent): void {
    const data: unknown = parse(event.data);
    if (data === null) return;
    switch (event.name) {
      case "status":
        this.#takeStatus(data as Status);
        break;
      case "ledger":
        this.ledger = data as Ledger;
        break;
      case "rows":
        this.#rows = data as NewestRows;
        this.changes += 1;
        break;
      case "archive":
        this.changes += 1;
        break;
      default:
        // A newer server may send more.
        break;
    }
  }

  #takeStatus(status: Status): void {
    if (this.status !== null && this.status.started_at !== status.started_at) this.history = [];
    this.status = status;
    this.now = Date.now();
    this.statusAt = this.now;
    this.history = remember(this.history, sampleOf(status, this.now));
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
