/**
 * Server-sent events, as text arrives: a pure parser without network or clock.
 *
 * Follows the "event stream interpretation" of the HTML standard: lines end in LF, CR or CRLF, `data` lines are joined by LF,
 * an event is given out at an empty line, an event without data is dropped.
 */

export interface ServerEvent {
  /** `message` when the server named none. */
  name: string;
  data: string;
  /** The last `id` seen so far, empty before the first. */
  id: string;
}

export interface Parsed {
  events: ServerEvent[];
  /** Comment lines: the server's heartbeat. */
  comments: number;
}

export class EventStreamParser {
  /** Reconnect time that the server asked for, if it did. */
  retryMs: number | null = null;
  #lastEventId: string;
  #rest = "";
  #data: string[] = [];
  #name = "";
  #started = false;

  constructor(lastEventId = "") {
    this.#lastEventId = lastEventId;
  }

  get lastEventId(): string {
    return this.#lastEventId;
  }

  /** Takes the next piece of text, however it was cut, and gives the events that it completed. */
  push(text: string): Parsed {
    let input = this.#rest + text;
    if (!this.#started && input.length > 0) {
      this.#started = true;
      if (input.startsWith("\uFEFF")) input = input.slice(1);
    }
    const parsed: Parsed = { events: [], comments: 0 };
    let start = 0;
    for (;;) {
      const end = nextLineEnd(input, start);
      if (end === null) break;
      this.#line(input.slice(start, end.at), parsed);
      start = end.next;
    }
    this.#rest = input.slice(start);
    return parsed;
  }

  #line(line: string, parsed: Parsed): void {
    if (line === "") {
      if (this.#data.length > 0) {
        parsed.events.push({ name: this.#name || "message", data: this.#data.join("\n"), id: this.#lastEventId });
      }
      this.#data = [];
      this.#name = "";
      return;
    }
    if (line.startsWith(":")) {
      parsed.comments += 1;
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    this.#field(field, value);
  }

  #field(field: string, value: string): void {
    switch (field) {
      case "data":
        this.#data.push(value);
        break;
      case "event":
        this.#name = value;
        break;
      case "id":
        if (!value.includes("\0")) this.#lastEventId = value;
        break;
      case "retry":
        if (/^[0-9]+$/.test(value)) this.retryMs = Number(value);
        break;
      default:
        break;
    }
  }
}

/** Where the line that begins at `start` ends; null when the text does not say yet (a last CR may become CRLF). */
function nextLineEnd(text: string, start: number): { at: number; next: number } | null {
  for (let at = start; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (char === 10) return { at, next: at + 1 };
    if (char === 13) {
      if (at + 1 === text.length) return null;
      return { at, next: text.charCodeAt(at + 1) === 10 ? at + 2 : at + 1 };
    }
  }
  return null;
}
