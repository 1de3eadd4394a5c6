import { describe, expect, it } from "vitest";

import { ago, bytes, compact, count, duration, latency, measure, percent, plural, rate, utc } from "./format";

const plain = (text: string): string => text.replaceAll(/[\u202f\u00a0]/g, " ");

describe("numbers as people read them", () => {
  it("has separators, and a dash where there is no value", () => {
    expect(count(1_234_567)).toBe("1,234,567");
    expect(count(null)).toBe("–");
    expect(count(Number.NaN)).toBe("–");
    expect(measure(12.3456)).toBe("12.35");
    expect(plain(compact(1_234_567))).toBe("1.23 M");
    expect(compact(9_500)).toBe("9,500");
    expect(plain(plural(1, "file"))).toBe("1 file");
    expect(plain(plural(2000, "file"))).toBe("2,000 files");
  });

  it("does not show a slow flow as none", () => {
    expect(rate(0.4)).toBe("0.4");
    expect(rate(0)).toBe("0");
    expect(rate(1234.5)).toBe("1,235");
  });

  it("shows sizes in binary units", () => {
    expect(plain(bytes(0))).toBe("0 B");
    expect(plain(bytes(1536))).toBe("1.5 KiB");
    expect(plain(bytes(512 * 1024 * 1024))).toBe("512 MiB");
  });

  it("does not round a small share to nothing, nor a large one to all", () => {
    expect(plain(percent(1, 100_000))).toBe("< 0.1 %");
    expect(plain(percent(99_999, 100_000))).toBe("> 99.9 %");
    expect(plain(percent(1, 3))).toBe("33 %");
    expect(percent(0, 0)).toBe("–");
  });

  it("picks the unit that fits a time", () => {
    expect(plain(latency(0.0123))).toBe("12 ms");
    expect(plain(latency(1.44))).toBe("1.4 s");
    expect(plain(latency(0.9999))).toBe("1.0 s");
    expect(plain(duration(3 * 60 + 12))).toBe("3 min 12 s");
    expect(plain(duration(7200))).toBe("2 h");
    expect(plain(duration(0.4))).toBe("0 s");
    expect(plain(ago("2026-01-01T00:00:00Z", Date.UTC(2026, 0, 1, 0, 0, 5)))).toBe("5 s ago");
  });

  it("shows event times in UTC, without what is zero", () => {
    expect(utc(Date.UTC(2020, 3, 2))).toBe("2020-04-02");
    expect(utc(Date.UTC(2020, 3, 2, 10, 0, 0))).toBe("2020-04-02 10:00:00");
    expect(utc(Date.UTC(2020, 3, 2, 10, 11, 12, 250))).toBe("2020-04-02 10:11:12.25");
    expect(utc(Date.UTC(2020, 3, 2, 10, 11, 20))).toBe("2020-04-02 10:11:20");
    expect(utc(1e20)).toBe("–");
  });
});
