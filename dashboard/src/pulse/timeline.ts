/** The small time lines: options for the last five minutes, from the samples that the page keeps. */

import { clockAxis, textStyle, tooltip, valueAxis, type Option } from "../chart/base";
import type { Palette } from "../chart/palette";
import { clock, compact, latency, rate } from "../format/format";
import type { Sample } from "../state/history";

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

const SHOWN_SECONDS = 300;

/** Where the axis ends when nothing flows. */
const EMPTY_TOP = 3;

const FORMATS: Record<Unit, (value: number) => string> = {
  rate: (value) => `${rate(value)} rows/s`,
  batches: (value) => `${rate(value)} batches/s`,
  latency,
};

/** What a time line shows: the last five minutes, or at least one. */
export function window(history: readonly Sample[]): { from: number; to: number; shown: Sample[] } {
  const to = history.at(-1)?.at ?? Date.now();
  const first = Math.min(history[0]?.at ?? to, to - SHORTEST_MS);
  const from = Math.max(first, to - SHOWN_SECONDS * 1000);
  return { from, to, shown: history.filter(({ at }) => at >= from) };
}

export function timeline(history: readonly Sample[], lines: readonly Line[], unit: Unit, palette: Palette, gridLines = 3): Option {
  const { from, to, shown } = window(history);
  return {
    textStyle: textStyle(palette),
    grid: { left: 4, right: 8, top: 10, bottom: 2, containLabel: true },
    tooltip: {
      ...tooltip(palette, "axis"),
      valueFormatter: (value: unknown) => (typeof value === "number" ? FORMATS[unit](value) : "–"),
      axisPointer: { type: "line", lineStyle: { color: palette.line2 }, label: { formatter: ({ value }: { value: number }) => clock(value) } },
    },
    xAxis: clockAxis(palette, from, to),
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
      data: shown.map((sample) => [sample.at, line.value(sample)]),
    })),
  };
}
