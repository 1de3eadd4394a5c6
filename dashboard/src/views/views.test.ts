import { Decimal, Dictionary, Int32, Int64, Table, TimestampMicrosecond, Utf8, makeData, makeVector, tableToIPC, vectorFromArray } from "apache-arrow";
import { describe, expect, it } from "vitest";

import type { ChartInfo } from "../api/types";
import { decimalText, resultFromArrow } from "./arrow";
import { MOST_SERIES, plotOf, withGaps } from "./plot";
import { resultFromJson, withTypes } from "./result";

const chart = (kind: string, x: string | null = null, y: string | null = null, series: string | null = null): ChartInfo => ({ kind, x, y, series });
const COLUMNS = [
  { name: "day", data_type: "Timestamp(Microsecond, None)" },
  { name: "kind", data_type: "Utf8" },
  { name: "trips", data_type: "Int64" },
];

describe("an Arrow answer", () => {
  it("becomes plain values: times in milliseconds, whole numbers as numbers, decimals as text, nulls as null", () => {
    const at = Date.UTC(2020, 3, 2);
    const table = new Table({
      day: vectorFromArray([at, null], new TimestampMicrosecond("UTC")),
      trips: vectorFromArray([5n, null], new Int64()),
      name: vectorFromArray(["a", null], new Dictionary(new Utf8(), new Int32())),
      fare: makeVector(makeData({ type: new Decimal(2, 10, 128), length: 2, data: new Uint32Array([1250, 0, 0, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff]) })),
    });
    const result = resultFromArrow(tableToIPC(table, "stream"), false);
    expect(result.rows).toEqual([
      [at, 5, "a", "12.50"],
      [null, null, null, "-0.01"],
    ]);
    expect(result.columns.map((column) => column.kind)).toEqual(["time", "number", "text", "number"]);
  });

  it("writes decimals of any scale", () => {
    expect(decimalText(new Uint32Array([5, 0, 0, 0]), 0)).toBe("5");
    expect(decimalText(new Uint32Array([5, 0, 0, 0]), 3)).toBe("0.005");
  });
});

describe("a JSON answer", () => {
  it("turns times into milliseconds, also for columns that came by name alone", () => {
    const typed = withTypes(["at", "fare"], [{ name: "at", data_type: 'Timestamp(µs, "UTC")', nullable: true }]);
    const result = resultFromJson(typed, [["2020-04-02T10:11:12.5Z", "12.50"], [null, null]]);
    expect(result.rows).toEqual([[Date.UTC(2020, 3, 2, 10, 11, 12, 500), "12.50"], [null, null]]);
    expect(result.columns.map((column) => column.kind)).toEqual(["time", "text"]);
  });
});

describe("a view's plot", () => {
  it("splits rows into series, in the order of time", () => {
    const result = resultFromJson(COLUMNS, [
      ["2020-01-02T00:00:00Z", "a", 2],
      ["2020-01-01T00:00:00Z", "a", 1],
      ["2020-01-01T00:00:00Z", "b", 7],
    ]);
    const plot = plotOf(chart("line", "day", "trips", "kind"), result);
    if (plot.kind !== "xy") throw new Error(plot.kind);
    expect(plot.plot.axis).toBe("time");
    expect(plot.plot.series).toEqual([
      { name: "a", points: [[Date.UTC(2020, 0, 1), 1], [Date.UTC(2020, 0, 2), 2]] },
      { name: "b", points: [[Date.UTC(2020, 0, 1), 7]] },
    ]);
  });

  it("keeps the largest series when there are too many, and says how many it left out", () => {
    const rows = Array.from({ length: 12 }, (_row, index) => ["2020-01-01T00:00:00Z", `s${index}`, index]);
    const plot = plotOf(chart("bar", "day", "trips", "kind"), resultFromJson(COLUMNS, rows));
    if (plot.kind !== "xy") throw new Error(plot.kind);
    expect(plot.plot.series).toHaveLength(MOST_SERIES);
    expect(plot.plot.leftOut).toBe(4);
    expect(plot.plot.series.some((series) => series.name === "s11")).toBe(true);
  });

  it("leaves a gap where regular times have one, and none where times are irregular", () => {
    expect(withGaps([[0, 1], [10, 1], [20, 1], [30, 1], [100, 1], [110, 1], [120, 1]])).toEqual([[0, 1], [10, 1], [20, 1], [30, 1], [40, null], [100, 1], [110, 1], [120, 1]]);
    const irregular: [number, number][] = [[0, 1], [3, 1], [50, 1], [51, 1], [200, 1]];
    expect(withGaps(irregular)).toEqual(irregular);
    expect(withGaps([[0, 1]])).toEqual([[0, 1]]);
  });

  it("takes the first fitting columns when the chart names none", () => {
    const plot = plotOf(chart("bar"), resultFromJson(COLUMNS.slice(1), [["a", 3]]));
    expect(plot).toMatchObject({ kind: "xy", plot: { x: { name: "kind" }, y: { name: "trips" }, axis: "category", categories: ["a"] } });
  });

  it("names the column that a chart wants and the view does not have", () => {
    const result = resultFromJson(COLUMNS, [["2020-01-01T00:00:00Z", "a", 1]]);
    expect(plotOf(chart("line", "hour", "trips"), result)).toEqual({ kind: "misfit", why: "the view has no column `hour`" });
    expect(plotOf(chart("number", null, "fare"), result)).toEqual({ kind: "misfit", why: "the view has no column `fare`" });
    expect(plotOf(chart("pie"), result)).toMatchObject({ kind: "misfit" });
  });

  it("is a table without a chart, a number with one value, and empty without rows", () => {
    const result = resultFromJson(COLUMNS, [["2020-01-01T00:00:00Z", "a", 41]]);
    expect(plotOf(null, result)).toEqual({ kind: "table" });
    expect(plotOf(chart("number"), result)).toMatchObject({ kind: "number", value: 41, label: "trips" });
    expect(plotOf(chart("line"), resultFromJson(COLUMNS, []))).toEqual({ kind: "empty" });
  });
});

describe("a heat map", () => {
  const HEAT = [{ name: "hour", data_type: "Int64" }, { name: "day", data_type: "Utf8" }, { name: "rows", data_type: "Int64" }];
  const chartOf = (value: string): ChartInfo => ({ kind: "heatmap", x: "hour", y: "day", series: null, value });

  it("puts numbers of an axis in their order, and texts as the rows have them", () => {
    const plot = plotOf(chartOf("rows"), resultFromJson(HEAT, [[11, "Tue", 3], [2, "Mon", 4], [2, "Tue", null]]));
    expect(plot).toMatchObject({ kind: "heat", plot: { columns: ["2", "11"], lines: ["Tue", "Mon"], cells: [[1, 0, 3], [0, 1, 4]] } });
  });

  it("says which column is missing", () => {
    expect(plotOf(chartOf("trips"), resultFromJson(HEAT, [[1, "Mon", 1]]))).toEqual({ kind: "misfit", why: "the view has no column `trips`" });
  });
});
