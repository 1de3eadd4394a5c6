/** Event times over the wall clock: the band from the lowest to the highest of each moment. */

import { clockAxis, lines, textStyle, valueAxis, type Option } from "../chart/base";
import type { Palette } from "../chart/palette";
import { clock, utc } from "../format/format";
import { window } from "../pulse/timeline";
import type { Sample } from "../state/history";

const DAY_MS = 86_400_000;

export function eventTimeOption(history: readonly Sample[], palette: Palette): Option {
  const { from, to, shown } = window(history);
  const band = shown.map(({ at, events }) => ({ at, low: events?.[0] ?? null, high: events?.[1] ?? null }));
  const lows = band.flatMap(({ low }) => (low === null ? [] : [low]));
  const highs = band.flatMap(({ high }) => (high === null ? [] : [high]));
  const wide = Math.max(...highs) - Math.min(...lows) > 3 * DAY_MS;
  const label = (value: number): string => (wide ? utc(value).slice(0, 10) : utc(value).slice(5, 16));
  const line = { type: "line", showSymbol: false, step: "end", stack: "band", connectNulls: false };
  return {
    textStyle: textStyle(palette),
    grid: { left: 4, right: 8, top: 10, bottom: 2, containLabel: true },
    tooltip: lines(palette, "axis", (points: { dataIndex: number }[]) => {
      const at = band[points[0]?.dataIndex ?? -1];
      return at === undefined || at.low === null || at.high === null ? "no rows" : `${clock(at.at)}\n${utc(at.low)}\nto ${utc(at.high)} UTC`;
    }),
    xAxis: clockAxis(palette, from, to),
    yAxis: { ...valueAxis(palette, label), min: "dataMin", max: "dataMax", scale: true, splitNumber: 3 },
    series: [
      { ...line, name: "lowest", lineStyle: { width: 1, color: palette.flow, opacity: 0.5 }, itemStyle: { color: palette.flow }, data: band.map(({ at, low }) => [at, low]) },
      {
        ...line,
        name: "highest",
        lineStyle: { width: 2, color: palette.flow },
        itemStyle: { color: palette.flow },
        areaStyle: { color: palette.flow, opacity: 0.18 },
        data: band.map(({ at, low, high }) => [at, low === null || high === null ? null : high - low]),
      },
    ],
  };
}
