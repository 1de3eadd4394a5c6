import { describe, expect, it } from "vitest";

import { cell, gridOrder, kindOf, sharedDigits, timeMs, type Column } from "./cell";

const column = (name: string, dataType: string): Column => ({ name, dataType, kind: kindOf(dataType) });

describe("a cell of a grid", () => {
  it("shows each type as a reader expects it", () => {
    expect(cell(1234.5, column("fare", "Float64"))).toBe("1,235");
    expect(cell(1234.5, column("fare", "Float64"), 2)).toBe("1,234.50");
    expect(cell("1234.50", column("fare", "Decimal128(10, 2)"))).toBe("1,234.50");
    expect(cell(2020, column("year", "Int32"))).toBe("2020");
    expect(cell(123456n, column("trips", "Int64"))).toBe("123,456");
    expect(cell(null, column("trips", "Int64"))).toBe("–");
    expect(cell(true, column("flag", "Boolean"))).toBe("yes");
    expect(cell(["a", "b"], column("_marks", "List(Utf8)"))).toBe('["a","b"]');
    expect(cell(0, column("at", "Timestamp(Millisecond)"))).toBe("1970-01-01");
  });

  it("reads times as text, with and without a zone, and in the column's unit", () => {
    const at = Date.UTC(2020, 3, 2, 10, 11, 12);
    expect(timeMs("2020-04-02T10:11:12Z", "Timestamp(Microsecond)")).toBe(at);
    expect(timeMs("2020-04-02 10:11:12", "Timestamp(Microsecond)")).toBe(at);
    expect(timeMs(at * 1000, 'Timestamp(Microsecond, Some("UTC"))')).toBe(at);
    expect(timeMs(18_354, "Date32")).toBe(Date.UTC(2020, 3, 2));
    expect(timeMs("no time", "Timestamp(Microsecond)")).toBeNull();
  });

  it("puts the program's own columns last", () => {
    expect(gridOrder(["_file", "fare", "_row", "tip"].map((name) => column(name, "Utf8")))).toEqual([1, 3, 0, 2]);
  });

  it("gives a column of fractions the same digits everywhere, and whole numbers none", () => {
    expect(sharedDigits([1, 2, null])).toBeNull();
    expect(sharedDigits([1.5, 20, null])).toBe(2);
    expect(sharedDigits([0.1234, 0.5])).toBe(4);
  });
});
