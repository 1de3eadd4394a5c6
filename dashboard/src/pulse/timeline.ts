/** The small time lines: options for the last five minutes, from the samples that the page keeps. */

import { clockAxis, textStyle, tooltip, valueAxis, type Option } from "../chart/base";
import type { Palette } from "../chart/palette";
import { clock, compact, latency, rate } from "../format/format";
import { KEPT_SECONDS, type Sample } from "../state/history";

export interface Line {
  name: string;
  colour: (palette: Palette) => string;
  value: (sample: Sample) => number | null;
  /** Filled down to the axis. */
  area?: boolean;
}

export type Unit = "rate" | "batches" | "latency";

/** Shows at least this much of time, so that the first seconds do not stretch over the whole width. */
const SHORTEST_MS = 60_000;

/** Where the axis ends when nothing flows. */
const EMPTY_TOP = 3;

const FORMATS: Record<Unit, (value: number) => string> = {
  rate: (value) => `${rate(value)} rows/s`,
  batches: (value) => `${rate(value)} batches/s`,
  latency,
};

export function timeline(history: readonly Sample[], lines: readonly Line[], unit: Unit, palette: Palette, gridLines = 3): Option {
  const last = history.at(-1)?.at ?? Date.now();
  const first = Math.min(history[0]?.at ?? last, last - SHORTEST_MS);
  return {
    textStyle: textStyle(palette),
    grid: { left: 4, right: 8, top: 10, bottom: 2, containLabel: true },
    tooltip: {
      ...tooltip(palette, "axis"),
      valueFormatter: (value: unknown) => (typeof value === "number" ? FORMATS[unit](value) : "–"),
      axisPointer: { type: "line", lineStyle: { color: palette.line2 }, label: { formatter: ({ value }: { value: number }) => clock(value) } },
    },
    xAxis: clockAxis(palette, Math.max(first, last - KEPT_SECONDS * 1000), last),
    yAxis: { ...valueAxis(palette, unit === "latency" ? latency : compact), min: 0, max: ({ max }: { max: number }) => (max > 0 ? null : EMPTY_TOP), splitNumber: gridLines },
    series: lines.map((line) => ({
      name: line.name,
      type: "line",
      showSymbol: false,
      smooth: 0.25,
      smoothMonotone: "x",
      lineStyle: { width: 2, color: line.colour(palette) },
      itemStyle: { color: line.colour(palette) },
      ...(line.area === true ? { areaStyle: { color: line.colour(palette), opacity: 0.12 } } : {}),
      data: history.map((sample) => [sample.at, line.value(sample)]),
    })),
  };
}
