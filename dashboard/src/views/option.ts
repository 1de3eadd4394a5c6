/** A plot as ECharts draws it. */

import { categoryAxis, formatValueTip, lines, textStyle, timeAxis, tooltip, valueAxis, type Option } from "../chart/base";
import type { Palette } from "../chart/palette";
import { compact, measure, utc } from "../format/format";
import { fitOf } from "./fit";
import { withGaps, type HeatPlot, type Series, type XyPlot } from "./plot";

export function plotOption(plot: XyPlot, palette: Palette): Option {
  const several = plot.series.length > 1;
  return {
    useUTC: true,
    textStyle: textStyle(palette),
    grid: { left: 4, right: 14, top: several ? 34 : 24, bottom: 22, containLabel: true },
    legend: {
      show: several,
      type: "plain",
      left: 0,
      top: 0,
      itemWidth: 12,
      itemHeight: 4,
      itemGap: 14,
      icon: "roundRect",
      textStyle: textStyle(palette),
      inactiveColor: palette.line2,
    },
    tooltip: plot.kind === "scatter" ? pointTip(plot, palette) : { ...tooltip(palette, "axis"), valueFormatter: formatValueTip },
    xAxis: {
      ...(plot.axis === "time" ? timeAxis(palette) : plot.axis === "value" ? numberAxis(palette, plot.kind === "scatter") : categoryAxis(palette, plot.categories)),
      name: plot.x.name,
      nameLocation: "middle",
      nameGap: 27,
      nameTextStyle: { ...textStyle(palette), color: palette.ink3 },
    },
    yAxis: {
      ...valueAxis(palette),
      scale: plot.kind === "scatter",
      name: several ? "" : plot.y.name,
      nameLocation: "end",
      nameGap: 10,
      nameTextStyle: { ...textStyle(palette), color: palette.ink3, align: "left" },
    },
    series: [...plot.series.map((series, index) => drawn(plot, series, colour(palette, several, index))), ...fitted(plot, palette)],
  };
}

/** The line of best fit through all points of a scatter, with how well it fits. */
function fitted(plot: XyPlot, palette: Palette): object[] {
  if (!plot.fit || plot.axis === "category") return [];
  const points = plot.series.flatMap((series) => series.points).flatMap(([x, y]): [number, number][] => (y === null ? [] : [[Number(x), y]]));
  const fit = fitOf(points);
  if (fit === null) return [];
  const [from, to] = fit.points;
  const label = { show: true, position: "insideEndTop", color: palette.ink2, fontFamily: palette.font, formatter: `R² ${fit.r2.toFixed(2)}` };
  const line = { symbol: "none", silent: true, animation: false, lineStyle: { color: palette.ink2, width: 2, type: "dashed" }, label, data: [[{ coord: from }, { coord: to }]] };
  return [{ name: "best fit", type: "scatter", data: [], markLine: line }];
}

/** A heat map: the more, the stronger. */
export function heatOption(plot: HeatPlot, palette: Palette): Option {
  const values = plot.cells.map(([, , value]) => value);
  return {
    textStyle: textStyle(palette),
    grid: { left: 4, right: 14, top: 10, bottom: 46, containLabel: true },
    tooltip: lines(palette, "item", ({ value: [x, y, value] }: { value: [number, number, number] }) => `${plot.x.name}  ${plot.columns[x] ?? ""}\n${plot.y.name}  ${plot.lines[y] ?? ""}\n${plot.value.name}  ${measure(value)}`),
    xAxis: { ...categoryAxis(palette, plot.columns), name: plot.x.name, nameLocation: "middle", nameGap: 24, nameTextStyle: { ...textStyle(palette), color: palette.ink3 } },
    yAxis: { ...categoryAxis(palette, plot.lines), axisLine: { show: false } },
    visualMap: {
      min: Math.min(...values, 0),
      max: Math.max(...values, 1),
      calculable: false,
      orient: "horizontal",
      left: "center",
      bottom: 0,
      itemHeight: 120,
      itemWidth: 8,
      textStyle: textStyle(palette),
      text: [compact(Math.max(...values, 1)), compact(Math.min(...values, 0))],
      inRange: { color: [palette.surface, palette.flow] },
    },
    series: [{ type: "heatmap", data: plot.cells, itemStyle: { borderColor: palette.surface, borderWidth: 1 }, emphasis: { itemStyle: { borderColor: palette.ink } } }],
  };
}

function colour(palette: Palette, several: boolean, index: number): string {
  return several ? (palette.series[index % palette.series.length] ?? palette.flow) : palette.flow;
}

/** Lines reach from edge to edge; points keep round numbers around them. */
function numberAxis(palette: Palette, round: boolean): object {
  return { ...valueAxis(palette), ...(round ? {} : { min: "dataMin", max: "dataMax" }), splitLine: { show: false }, axisLine: { show: true, lineStyle: { color: palette.line2 } } };
}

function drawn(plot: XyPlot, series: Series, color: string): object {
  const common = { name: series.name, itemStyle: { color }, data: series.points };
  switch (plot.kind) {
    case "bar":
      return { ...common, type: "bar", barMaxWidth: 46, itemStyle: { color, borderRadius: [2, 2, 0, 0] } };
    case "scatter":
      return { ...common, type: "scatter", symbolSize: 6, itemStyle: { color, opacity: 0.55 }, large: series.points.length > 3000 };
    case "line":
    case "area":
      return {
        ...common,
        data: plot.axis === "time" ? linePoints(withGaps(series.points)) : linePoints(series.points),
        type: "line",
        symbol: "none",
        symbolSize: 5,
        connectNulls: false,
        lineStyle: { width: 2, color },
        ...(plot.kind === "area" ? { areaStyle: { color, opacity: 0.16 } } : {}),
        ...(plot.kind === "area" && plot.series.length > 1 ? { stack: "all" } : {}),
      };
  }
}

/** A point without a neighbour makes no line: it gets a dot. */
function linePoints(points: Series["points"]): unknown[] {
  const there = (index: number): boolean => (points[index]?.[1] ?? null) !== null;
  return points.map((value, index) => (there(index) && !there(index - 1) && !there(index + 1) ? { value, symbol: "circle" } : value));
}

function pointTip(plot: XyPlot, palette: Palette): object {
  const show = (value: unknown): string => (plot.axis === "time" && typeof value === "number" ? utc(value) : typeof value === "number" ? measure(value) : String(value));
  return lines(palette, "item", ({ value }: { value: [unknown, unknown] }) => `${plot.x.name}  ${show(value[0])}\n${plot.y.name}  ${formatValueTip(value[1])}`);
}
