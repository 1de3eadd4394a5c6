/** From a view's rows and its `chart` to what is drawn: pure. A chart that does not fit its rows says why. */

import type { ChartInfo } from "../api/types";
import { cell, type Column } from "../format/cell";
import { numberOf, type Result } from "./result";

/** More series than this cannot be told apart: the largest stay. */
export const MOST_SERIES = 8;

export type ChartKind = "line" | "area" | "bar" | "scatter";

export interface Series {
  name: string;
  points: [number | string, number | null][];
}

export interface XyPlot {
  kind: ChartKind;
  x: Column;
  y: Column;
  axis: "time" | "value" | "category";
  /** Names of the horizontal axis in order, for `category`. */
  categories: string[];
  series: Series[];
  /** Series left out because there were more than `MOST_SERIES`. */
  leftOut: number;
  /** Whether a line of best fit is drawn through the points. */
  fit: boolean;
}

export interface HeatPlot {
  x: Column;
  y: Column;
  value: Column;
  /** Names of both axes, in the order in which the rows have them. */
  columns: string[];
  lines: string[];
  /** Column, line, value. */
  cells: [number, number, number][];
}

export type Plot =
  | { kind: "xy"; plot: XyPlot }
  | { kind: "heat"; plot: HeatPlot }
  | { kind: "number"; label: string; value: unknown; column: Column }
  | { kind: "table" }
  | { kind: "empty" }
  | { kind: "misfit"; why: string };

export function plotOf(chart: ChartInfo | null, result: Result): Plot {
  if (result.rows.length === 0) return { kind: "empty" };
  const kind = chart?.kind ?? "table";
  switch (kind) {
    case "table":
      return { kind: "table" };
    case "number":
      return numberPlot(chart, result);
    case "heatmap":
      return heatPlot(chart, result);
    case "line":
    case "area":
    case "bar":
    case "scatter":
      return xyPlot(kind, chart, result);
    default:
      return { kind: "misfit", why: `this page has no chart of kind \`${kind}\`` };
  }
}

function numberPlot(chart: ChartInfo | null, result: Result): Plot {
  const name = chart?.y ?? chart?.x ?? null;
  const at = name === null ? firstNumber(result, -1) : indexOf(result, name);
  const column = result.columns[at ?? 0];
  if (at === null || column === undefined) return { kind: "misfit", why: `the view has no column \`${name ?? "of numbers"}\`` };
  return { kind: "number", label: column.name, value: result.rows[0]?.[at] ?? null, column };
}

function heatPlot(chart: ChartInfo | null, result: Result): Plot {
  const wanted = [chart?.x, chart?.y, chart?.value].map((name) => ({ name: name ?? "", at: name === null || name === undefined ? null : indexOf(result, name) }));
  const missing = wanted.find(({ at }) => at === null);
  const [x, y, value] = wanted.map(({ at }) => result.columns[at ?? -1]);
  if (missing !== undefined || x === undefined || y === undefined || value === undefined) return { kind: "misfit", why: `the view has no column \`${missing?.name ?? ""}\`` };
  const [xAt, yAt, valueAt] = wanted.map(({ at }) => at ?? 0) as [number, number, number];
  const columns = axisNames(result, xAt, x);
  const lines = axisNames(result, yAt, y);
  const cells = result.rows.flatMap((row): [number, number, number][] => {
    const number = numberOf(row[valueAt]);
    return number === null ? [] : [[columns.indexOf(cell(row[xAt], x)), lines.indexOf(cell(row[yAt], y)), number]];
  });
  return { kind: "heat", plot: { x, y, value, columns, lines, cells } };
}

/** Numbers and times in their order, all else as the rows have it. */
function axisNames(result: Result, at: number, column: Column): string[] {
  const values = result.rows.map((row) => row[at]);
  if (column.kind === "number" || column.kind === "time") values.sort((left, right) => (numberOf(left) ?? 0) - (numberOf(right) ?? 0));
  return [...new Set(values.map((value) => cell(value, column)))];
}

function xyPlot(kind: ChartKind, chart: ChartInfo | null, result: Result): Plot {
  const wanted = { x: chart?.x ?? null, y: chart?.y ?? null, series: chart?.series ?? null };
  const xAt = wanted.x === null ? 0 : indexOf(result, wanted.x);
  const yAt = wanted.y === null ? firstNumber(result, xAt ?? 0) : indexOf(result, wanted.y);
  const seriesAt = wanted.series === null ? -1 : indexOf(result, wanted.series);
  if (xAt === null || yAt === null || seriesAt === null) {
    const missing = xAt === null ? wanted.x : yAt === null ? (wanted.y ?? "of numbers") : wanted.series;
    return { kind: "misfit", why: `the view has no column \`${missing ?? ""}\`` };
  }
  const x = result.columns[xAt];
  const y = result.columns[yAt];
  if (x === undefined || y === undefined) return { kind: "empty" };
  const axis = x.kind === "time" ? "time" : x.kind === "number" && kind !== "bar" ? "value" : "category";
  const all = group(result, { x: xAt, y: yAt, series: seriesAt }, axis, y.name);
  const largest = [...all].sort((left, right) => weight(right) - weight(left)).slice(0, MOST_SERIES);
  const series = all.filter((one) => largest.includes(one));
  const categories = axis === "category" ? [...new Set(series.flatMap((one) => one.points.map(([at]) => String(at))))] : [];
  return { kind: "xy", plot: { kind, x, y, axis, categories, series, leftOut: all.length - series.length, fit: kind === "scatter" && chart?.fit === true } };
}

function group(result: Result, at: { x: number; y: number; series: number }, axis: XyPlot["axis"], yName: string): Series[] {
  const groups = new Map<string, Series>();
  const xColumn = result.columns[at.x];
  const seriesColumn = result.columns[at.series];
  for (const row of result.rows) {
    const name = seriesColumn === undefined ? yName : cell(row[at.series], seriesColumn);
    const x = axis === "category" ? (xColumn === undefined ? "" : cell(row[at.x], xColumn)) : numberOf(row[at.x]);
    if (x === null) continue;
    const series = groups.get(name) ?? { name, points: [] };
    series.points.push([x, numberOf(row[at.y])]);
    groups.set(name, series);
  }
  const list = [...groups.values()];
  if (axis !== "category") for (const series of list) series.points.sort(([left], [right]) => Number(left) - Number(right));
  return list;
}

/** A step this many times the usual one is a gap in the data. */
const GAP_STEPS = 3;
/** Times are regular when this share of the steps is the usual one. */
const REGULAR_SHARE = 0.6;

/** The points with an empty one in each gap, so that a line does not claim values where there are none; irregular times have no gaps. */
export function withGaps(points: Series["points"]): Series["points"] {
  const times = points.map(([at]) => Number(at));
  const steps = times.slice(1).map((at, index) => at - (times[index] ?? at));
  const usual = [...steps].sort((left, right) => left - right)[Math.floor(steps.length / 2)] ?? 0;
  const regular = steps.filter((step) => Math.abs(step - usual) <= usual * 0.1).length;
  if (usual <= 0 || regular < steps.length * REGULAR_SHARE) return points;
  return points.flatMap((point, index): Series["points"] => {
    const step = steps[index] ?? 0;
    return step > usual * GAP_STEPS ? [point, [Number(point[0]) + usual, null]] : [point];
  });
}

function weight(series: Series): number {
  return series.points.reduce((sum, [, value]) => sum + Math.abs(value ?? 0), 0);
}

function indexOf(result: Result, name: string): number | null {
  const at = result.columns.findIndex((column) => column.name === name);
  return at < 0 ? null : at;
}

function firstNumber(result: Result, except: number): number | null {
  const at = result.columns.findIndex((column, index) => index !== except && column.kind === "number");
  return at < 0 ? null : at;
}
