import { describe, expect, it } from "vitest";

import { EventStreamParser, type ServerEvent } from "./protocol";

/** Parses `text` cut into pieces of `size` characters. */
function parsed(text: string, size: number): { events: ServerEvent[]; comments: number } {
  const parser = new EventStreamParser();
  const all = { events: [] as ServerEvent[], comments: 0 };
  for (let at = 0; at < text.length; at += size) {
    const { events, comments } = parser.push(text.slice(at, at + size));
    all.events.push(...events);
    all.comments += comments;
  }
  return all;
}

describe("the event stream parser", () => {
  const text = "id: 7\nevent: status\ndata: {\"a\":1}\n\n: still here\n\ndata: one\ndata: two\n\n";

  it("gives the same events however the text is cut", () => {
    const whole = parsed(text, text.length);
    expect(whole.events).toEqual([
      { name: "status", data: '{"a":1}', id: "7" },
      { name: "message", data: "one\ntwo", id: "7" },
    ]);
    expect(whole.comments).toBe(1);
    for (let size = 1; size < 12; size += 1) expect(parsed(text, size)).toEqual(whole);
  });

  it("takes CR and CRLF as ends of lines, also when CRLF is cut in two", () => {
    const crlf = text.replaceAll("\n", "\r\n");
    for (let size = 1; size < 12; size += 1) expect(parsed(crlf, size)).toEqual(parsed(text, size));
    expect(parsed(text.replaceAll("\n", "\r") + "\n", 100).events).toEqual(parsed(text, 100).events);
  });

  it("drops an event without data and an event that is not complete", () => {
    expect(parsed("event: status\n\nevent: rows\ndata: 1\n", 100).events).toEqual([]);
  });

  it("skips a byte order mark and one space after the colon, no more", () => {
    expect(parsed("\uFEFFdata:  two spaces\n\ndata:none\n\ndata\n\n", 3).events.map((event) => event.data)).toEqual([" two spaces", "none", ""]);
  });

  it("keeps the last id for the next connection, refuses one with NUL, and hears the retry time", () => {
    const parser = new EventStreamParser("4");
    expect(parser.push("data: x\n\n").events[0]?.id).toBe("4");
    parser.push("id: 9\nretry: 250\n\nid: a\0b\nretry: soon\n\n");
    expect(parser.lastEventId).toBe("9");
    expect(parser.retryMs).toBe(250);
  });
});
