/** One connection to the event stream, from request to end. Knows the network; knows nothing of retries. */

import { EventStreamParser, type ServerEvent } from "./protocol";

export type ConnectionEnd =
  /** The server wants a login: there is none, or it has ended. */
  | { kind: "unauthorized" }
  /** It answered, but not with a stream. */
  | { kind: "refused"; status: number; text: string }
  /** It could not be reached, or the line broke. */
  | { kind: "lost"; text: string }
  /** It ended the stream in good order. */
  | { kind: "ended" }
  /** We ended it. */
  | { kind: "stopped" };

export interface ConnectionOptions {
  url: string;
  token: string | null;
  lastEventId: string;
  fetch: typeof fetch;
  signal: AbortSignal;
  onOpen: () => void;
  /** Called for whatever arrives, heartbeats too. */
  onAlive: () => void;
  onEvent: (event: ServerEvent) => void;
}

export interface ConnectionResult {
  end: ConnectionEnd;
  lastEventId: string;
  retryMs: number | null;
}

/** Reads the stream until it ends; never throws. */
export async function readEventStream(options: ConnectionOptions): Promise<ConnectionResult> {
  const parser = new EventStreamParser(options.lastEventId);
  const end = await readInto(parser, options).catch((error: unknown): ConnectionEnd => {
    if (options.signal.aborted) return { kind: "stopped" };
    return { kind: "lost", text: error instanceof Error ? error.message : String(error) };
  });
  return { end, lastEventId: parser.lastEventId, retryMs: parser.retryMs };
}

/** The program's own words when it gave some. */
async function reason(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => null);
  const told = typeof body === "object" && body !== null && "error" in body && typeof body.error === "string";
  return told ? (body.error as string) : response.statusText;
}

async function readInto(parser: EventStreamParser, options: ConnectionOptions): Promise<ConnectionEnd> {
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (options.token !== null) headers["Authorization"] = `Bearer ${options.token}`;
  if (options.lastEventId !== "") headers["Last-Event-ID"] = options.lastEventId;
  const response = await options.fetch(options.url, { headers, signal: options.signal, cache: "no-store" });
  if (response.status === 401) return { kind: "unauthorized" };
  if (!response.ok || response.body === null) {
    return { kind: "refused", status: response.status, text: await reason(response) };
  }
  if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
    await response.body.cancel();
    return { kind: "refused", status: response.status, text: "the answer is not an event stream" };
  }
  options.onOpen();
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (options.signal.aborted) {
      await reader.cancel();
      return { kind: "stopped" };
    }
    if (done) return { kind: "ended" };
    options.onAlive();
    const parsed = parser.push(decoder.decode(value, { stream: true }));
    for (const event of parsed.events) options.onEvent(event);
  }
}
