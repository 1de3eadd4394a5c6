/** Rejects over the time at which they came in, a bar for each step. */

import { clockAxis, lines, textStyle, valueAxis, type Option } from "../chart/base";
import type { Palette } from "../chart/palette";
import { clock, compact, count } from "../format/format";

/** Shows at least this many steps, so that a single bar is not as wide as the chart. */
const FEWEST_STEPS = 12;

export function timesOption(times: readonly [number, number][], stepSeconds: number, palette: Palette): Option {
  const step = stepSeconds * 1000;
  const first = (times[0]?.[0] ?? 0) - step / 2;
  const last = Math.max(times.at(-1)?.[0] ?? 0, first + FEWEST_STEPS * step) + step;
  return {
    textStyle: textStyle(palette),
    grid: { left: 4, right: 8, top: 10, bottom: 2, containLabel: true },
    tooltip: lines(palette, "axis", (points: { value: [number, number] }[]) => {
      const [at, rows] = points[0]?.value ?? [0, 0];
      return `${clock(at)} to ${clock(at + step)}\n${count(rows)} rejects`;
    }),
    xAxis: clockAxis(palette, first, last),
    yAxis: { ...valueAxis(palette, compact), min: 0, minInterval: 1 },
    series: [{ name: "rejects", type: "bar", barMaxWidth: 22, itemStyle: { color: palette.reject, borderRadius: [2, 2, 0, 0] }, data: times }],
  };
}
