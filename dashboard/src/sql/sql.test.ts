import { describe, expect, it } from "vitest";

import { resultFromJson } from "../views/result";
import { suggested } from "./chart";
import { allColumns, nameInSql, offsetOf, schemaOf } from "./complete";
import { brief, copied, frameOf, orderOf, shown, tabbed, typeName, widthsOf, type Sorting } from "./frame";
import { MOST, readHistory, remembered, writeHistory, type Ran } from "./history";

const COLUMNS = [
  { name: "n", data_type: "Int64" },
  { name: "price", data_type: "Decimal128(10, 2)" },
  { name: "label", data_type: "Utf8" },
  { name: "at", data_type: 'Timestamp(µs, "UTC")' },
];
const ROWS = [
  [2, "10.50", "b", "2020-01-02T00:00:00Z"],
  [null, "9.75", null, null],
  [10, "-1.00", "a\tb\nc", "2019-01-02T03:04:05.678Z"],
  [2, null, "B", "2021-01-02T00:00:00Z"],
];
const frame = frameOf(resultFromJson(COLUMNS, ROWS), 1.5, 100);
const sorted = (column: number, descending = false): number[] => Array.from(orderOf(frame, { column, descending } as Sorting) ?? []);

describe("the answer", () => {
  it("sorts numbers as numbers, decimals too, and puts what has no value last either way", () => {
    expect(sorted(0)).toEqual([0, 3, 2, 1]);
    expect(sorted(0, true)).toEqual([2, 0, 3, 1]);
    expect(sorted(1)).toEqual([2, 1, 0, 3]);
    expect(sorted(3, true)).toEqual([3, 0, 2, 1]);
    expect(orderOf(frame, null)).toBeNull();
  });

  it("shows no value as NULL and copies it as nothing, and copies unrounded", () => {
    const [n, , , at] = frame.columns;
    if (n === undefined || at === undefined) throw new Error("columns");
    expect(shown(null, n, null)).toBe("NULL");
    expect(copied(null, n)).toBe("");
    expect(copied(0.123456789012345, n)).toBe("0.123456789012345");
    expect(copied(Date.UTC(2020, 0, 1), at)).toBe("2020-01-01T00:00:00.000Z");
  });

  it("copies rows in their order, one line each, whatever the values hold", () => {
    expect(tabbed(frame, orderOf(frame, { column: 0, descending: true }), 2)).toBe("n\tprice\tlabel\tat\n10\t-1.00\ta b c\t2019-01-02T03:04:05.678Z\n2\t10.50\tb\t2020-01-02T00:00:00.000Z");
  });

  it("names types as people do", () => {
    expect(["Utf8", "Int64", 'Timestamp(µs, "UTC")', "Timestamp<MICROSECOND, +00:00>", "Timestamp<SECOND>", "Timestamp(Nanosecond, None)", "Date32<DAY>", "Bool", "List(Utf8, field: 'element')", "Decimal128(10, 2)"].map(typeName)).toEqual(["text", "int64", "timestamp (µs, UTC)", "timestamp (µs, UTC)", "timestamp (s)", "timestamp (ns)", "date", "boolean", "list of text", "decimal(10, 2)"]);
    expect(brief("No field named x. Did you mean 'y'? Valid fields are a, b.")).toEqual({ text: "No field named x. Did you mean 'y'?", more: "Valid fields are a, b." });
  });

  it("gives every column a width that is neither nothing nor all", () => {
    const long = frameOf(resultFromJson(["x"], [["y".repeat(500)]]), 0, 0);
    expect(widthsOf(long)).toEqual([48]);
    expect(widthsOf(frame).every((width) => width >= 5)).toBe(true);
  });
});

describe("charts that suggest themselves", () => {
  it("are lines over time, bars by name", () => {
    expect(suggested(frame.columns)).toEqual({ kind: "line", x: "at", y: "n", series: "label" });
    expect(suggested(frame.columns.slice(0, 3))).toEqual({ kind: "bar", x: "label", y: "n", series: null });
    expect(suggested(frame.columns.slice(2, 3))).toMatchObject({ y: null });
  });
});

describe("proposals", () => {
  const tables = [{ name: "events", kind: "table", time: "at", columns: [{ name: "fare", data_type: "Int64", nullable: true }, { name: "Total Fare", data_type: "Utf8", nullable: true }, { name: "order", data_type: "Utf8", nullable: true }] }];

  it("quote names that SQL would take for something else", () => {
    expect(["fare", "Fare", "a b", 'q"', "order", "ö", "1st"].map(nameInSql)).toEqual(["fare", '"Fare"', '"a b"', '"q"""', '"order"', '"ö"', '"1st"']);
    expect(schemaOf(tables)[0]?.columns.map((column) => column.apply ?? column.label)).toEqual(["fare", '"Total Fare"', '"order"']);
  });

  it("have each column once", () => {
    expect(allColumns([...tables, ...tables]).map(({ label }) => label)).toEqual(["fare", "Total Fare", "order"]);
  });

  it("know where a line and a column are, in characters", () => {
    const text = "SELECT '😀', x\nFROM nowhere";
    expect(text.slice(offsetOf(text, 1, 13))).toBe("x\nFROM nowhere");
    expect(text.slice(offsetOf(text, 2, 6))).toBe("nowhere");
    expect(offsetOf(text, 9, 9)).toBe(text.length);
  });
});

describe("history", () => {
  const ran = (sql: string, at = 1): Ran => ({ sql, at, rows: 1, ms: 2 });

  it("has each statement once, the last first, and an end", () => {
    let history: Ran[] = [];
    for (let index = 0; index < MOST + 5; index += 1) history = remembered(history, ran(`SELECT ${index}`));
    history = remembered(history, ran(" SELECT 50 "));
    expect(history).toHaveLength(MOST);
    expect(history.filter(({ sql }) => sql.trim() === "SELECT 50")).toHaveLength(1);
    expect(remembered(history, ran("  "))).toEqual(history);
  });

  it("comes back from the storage, or is empty when that holds something else", () => {
    let kept = "";
    writeHistory({ setItem: (_key, value) => (kept = value) }, [ran("SELECT 1")]);
    expect(readHistory({ getItem: () => kept })).toEqual([ran("SELECT 1")]);
    expect(readHistory({ getItem: () => '[{"sql":1},7]' })).toEqual([]);
    expect(readHistory({ getItem: () => "{" })).toEqual([]);
    expect(readHistory(null)).toEqual([]);
  });
});
