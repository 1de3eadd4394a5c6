import { describe, expect, it } from "vitest";

import { backoffMs, LONGEST_DELAY_MS } from "./backoff";
import { StreamLifecycle, type Clock, type StreamState } from "./lifecycle";

const SILENCE_MS = 15_000;

/** A clock that moves when told to. */
class TestClock implements Clock {
  #now = 1000;
  #next = 1;
  readonly #timers = new Map<number, { at: number; run: () => void }>();

  now(): number {
    return this.#now;
  }

  setTimeout(run: () => void, delayMs: number): number {
    const handle = this.#next++;
    this.#timers.set(handle, { at: this.#now + delayMs, run });
    return handle;
  }

  clearTimeout(handle: number): void {
    this.#timers.delete(handle);
  }

  pending(): number {
    return this.#timers.size;
  }

  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= until).sort(([, left], [, right]) => left.at - right.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#now = due[1].at;
      due[1].run();
      await settle();
    }
    this.#now = until;
    await settle();
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

/** One connection that the server side of a test writes to. */
class Line {
  readonly headers: Headers;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  readonly response: Response;

  constructor(init: RequestInit) {
    this.headers = new Headers(init.headers);
    const body = new ReadableStream<Uint8Array>({ start: (controller) => { this.#controller = controller; } });
    init.signal?.addEventListener("abort", () => this.#controller?.error(new DOMException("aborted", "AbortError")));
    this.response = new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  async send(text: string): Promise<void> {
    this.#controller?.enqueue(new TextEncoder().encode(text));
    await settle();
  }

  async close(): Promise<void> {
    this.#controller?.close();
    await settle();
  }
}

function setUp(answer: (line: Line) => Response | Error = (line) => line.response) {
  const clock = new TestClock();
  const lines: Line[] = [];
  const states: StreamState[] = [];
  const events: string[] = [];
  const token: { value: string | null } = { value: null };
  const lifecycle = new StreamLifecycle({
    url: "/api/stream",
    token: () => token.value,
    fetch: (_input, init) => {
      const line = new Line(init ?? {});
      lines.push(line);
      const given = answer(line);
      return given instanceof Error ? Promise.reject(given) : Promise.resolve(given);
    },
    clock,
    random: () => 0.5,
    silenceMs: SILENCE_MS,
    onState: (state) => states.push(state),
    onAlive: () => undefined,
    onEvent: (event) => events.push(`${event.name} ${event.data}`),
  });
  const last = (): StreamState | undefined => states.at(-1);
  return { clock, lines, states, events, token, lifecycle, last };
}

describe("the life of the event stream", () => {
  it("is live once the server answers, and hands events on", async () => {
    const { lifecycle, lines, events, last } = setUp();
    lifecycle.start();
    await settle();
    await lines[0]?.send("event: status\ndata: 1\n\n");
    expect(last()).toEqual({ kind: "live" });
    expect(events).toEqual(["status 1"]);
  });

  it("comes back after the server closed the stream, and says what it saw last", async () => {
    const { lifecycle, lines, clock, last, events } = setUp();
    lifecycle.start();
    await settle();
    await lines[0]?.send("id: 41\ndata: 1\n\n");
    await lines[0]?.close();
    expect(last()).toMatchObject({ kind: "waiting", attempt: 1, why: "the server closed the stream" });
    await clock.advance(500);
    expect(lines).toHaveLength(2);
    expect(lines[1]?.headers.get("last-event-id")).toBe("41");
    await lines[1]?.send("id: 42\ndata: 2\n\n");
    expect(events).toEqual(["message 1", "message 2"]);
  });

  it("waits longer after each failure, up to a limit, and starts anew after a success", async () => {
    let broken = true;
    const { lifecycle, clock, states, lines } = setUp((line) => (broken ? new TypeError("refused") : line.response));
    lifecycle.start();
    await settle();
    await clock.advance(120_000);
    const waits = states.flatMap((state) => (state.kind === "waiting" ? [state.attempt] : []));
    expect(waits.slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
    expect(states.find((state) => state.kind === "waiting")).toMatchObject({ why: "the server cannot be reached" });
    broken = false;
    await clock.advance(LONGEST_DELAY_MS);
    await lines.at(-1)?.send(": here\n");
    await lines.at(-1)?.close();
    expect(states.at(-1)).toMatchObject({ kind: "waiting", attempt: 1 });
  });

  it("gives up a line that went silent, but not one with heartbeats", async () => {
    const { lifecycle, lines, clock, last } = setUp();
    lifecycle.start();
    await settle();
    for (let beat = 0; beat < 10; beat += 1) {
      await clock.advance(5000);
      await lines[0]?.send(": still here\n\n");
    }
    expect(lines).toHaveLength(1);
    await clock.advance(SILENCE_MS);
    expect(last()).toMatchObject({ kind: "waiting", why: "the server went silent" });
  });

  it("says on 401 that a login is wanted, without trying on, and sends the token it gets", async () => {
    const { lifecycle, lines, clock, last, token } = setUp((line) =>
      line.headers.get("authorization") === "Bearer right" ? line.response : new Response(null, { status: 401 }),
    );
    lifecycle.start();
    await clock.advance(60_000);
    expect(last()).toEqual({ kind: "unauthorized" });
    expect(lines).toHaveLength(1);
    token.value = "wrong";
    lifecycle.start();
    await settle();
    expect(last()).toEqual({ kind: "unauthorized" });
    token.value = "right";
    lifecycle.start();
    await settle();
    expect(last()).toEqual({ kind: "live" });
  });

  it("does not take a page of another kind for a stream", async () => {
    const { lifecycle, clock, states } = setUp(() => new Response("<html>", { headers: { "content-type": "text/html" } }));
    lifecycle.start();
    await clock.advance(0);
    expect(states.at(-1)).toMatchObject({ kind: "waiting", why: "the answer is not an event stream (200)" });
  });

  it("says in the server's words why it has no stream yet", async () => {
    const { lifecycle, clock, last } = setUp(() => Response.json({ error: "the pipeline is starting" }, { status: 503 }));
    lifecycle.start();
    await clock.advance(0);
    expect(last()).toMatchObject({ kind: "waiting", why: "the pipeline is starting (503)" });
  });

  it("leaves nothing behind when it is stopped", async () => {
    const { lifecycle, lines, clock, events, last } = setUp();
    lifecycle.start();
    await settle();
    lifecycle.stop();
    await lines[0]?.send("data: late\n\n").catch(() => undefined);
    await clock.advance(60_000);
    expect(events).toEqual([]);
    expect(last()).toEqual({ kind: "stopped" });
    expect(clock.pending()).toBe(0);
    expect(lines).toHaveLength(1);
  });

  it("tries at once when told to while it waits", async () => {
    const { lifecycle, lines, clock } = setUp();
    lifecycle.start();
    await settle();
    await lines[0]?.close();
    lifecycle.retryNow();
    await settle();
    expect(lines).toHaveLength(2);
    await clock.advance(10_000);
    expect(lines).toHaveLength(2);
  });
});

describe("the wait before the next attempt", () => {
  it("grows, is spread by chance, and never passes its limit", () => {
    expect(backoffMs(1, 0)).toBe(250);
    expect(backoffMs(1, 0.999)).toBeLessThanOrEqual(500);
    expect(backoffMs(3, 0)).toBe(1000);
    for (let attempt = 1; attempt < 60; attempt += 1) expect(backoffMs(attempt, 0.999)).toBeLessThanOrEqual(LONGEST_DELAY_MS);
  });
});
