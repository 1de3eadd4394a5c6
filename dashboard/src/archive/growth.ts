/** The archive's rows over time, a step for each commit. */

import { clockAxis, lines, textStyle, valueAxis, type Option } from "../chart/base";
import type { Palette } from "../chart/palette";
import { clock, compact, count } from "../format/format";
import type { Growth } from "./lake";

export function growthOption(points: readonly Growth[], palette: Palette): Option {
  const first = points[0]?.at ?? 0;
  const last = points.at(-1)?.at ?? 0;
  return {
    textStyle: textStyle(palette),
    grid: { left: 4, right: 12, top: 10, bottom: 2, containLabel: true },
    tooltip: lines(palette, "axis", (at: { dataIndex: number }[]) => {
      const point = points[at[0]?.dataIndex ?? -1];
      return point === undefined ? "" : `version ${point.version}, ${clock(point.at)}\n${count(point.rows)} rows`;
    }),
    xAxis: clockAxis(palette, first, Math.max(last, first + 1000)),
    yAxis: { ...valueAxis(palette, compact), min: 0 },
    series: [
      {
        name: "rows",
        type: "line",
        step: "end",
        symbol: "circle",
        symbolSize: 5,
        showSymbol: points.length < 60,
        lineStyle: { width: 2, color: palette.archive },
        itemStyle: { color: palette.archive },
        areaStyle: { color: palette.archive, opacity: 0.14 },
        data: points.map(({ at, rows }) => [at, rows]),
      },
    ],
  };
}
