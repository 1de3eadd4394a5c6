/** What every chart of the page has in common: axes, tooltip, type. */

import type { EChartsCoreOption } from "echarts/core";

import { clock, compact, measure, utc } from "../format/format";
import type { Palette } from "./palette";

export type Option = EChartsCoreOption;

const DAY_MS = 86_400_000;

export function textStyle(palette: Palette): object {
  return { color: palette.ink2, fontFamily: palette.font, fontSize: 12 };
}

export function tooltip(palette: Palette, trigger: "axis" | "item"): object {
  return {
    trigger,
    confine: true,
    backgroundColor: palette.raised,
    borderColor: palette.line2,
    borderWidth: 1,
    padding: [8, 12],
    textStyle: { ...textStyle(palette), color: palette.ink },
    axisPointer: { type: "line", lineStyle: { color: palette.line2 }, shadowStyle: { color: palette.line, opacity: 0.5 } },
    transitionDuration: 0.1,
  };
}

/** A tooltip of plain lines: what is told is data, and no markup. */
export function lines<P>(palette: Palette, trigger: "axis" | "item", tell: (at: P) => string): object {
  return { ...tooltip(palette, trigger), renderMode: "richText", formatter: tell };
}

export function valueAxis(palette: Palette, format: (value: number) => string = compact): object {
  return {
    type: "value",
    axisLabel: { ...textStyle(palette), color: palette.ink3, formatter: format, hideOverlap: true },
    axisLine: { show: false },
    axisTick: { show: false },
    splitNumber: 4,
    splitLine: { lineStyle: { color: palette.line } },
  };
}

/** Each label says its day and month, so that it can be read alone. */
const TIME_LABELS = {
  year: "{yyyy}",
  month: "{MMM} {yyyy}",
  day: "{d} {MMM}",
  hour: "{HH}:{mm}",
  minute: "{HH}:{mm}",
  second: "{HH}:{mm}:{ss}",
  millisecond: "{HH}:{mm}:{ss}",
};

/** Event times, in UTC as the data has them. */
export function timeAxis(palette: Palette): object {
  return {
    type: "time",
    axisLabel: { ...textStyle(palette), color: palette.ink3, hideOverlap: true, formatter: TIME_LABELS },
    axisLine: { lineStyle: { color: palette.line2 } },
    axisTick: { show: false },
    splitLine: { show: false },
    splitNumber: 5,
  };
}

/** Wall-clock times of the last minutes, in the reader's zone. */
export function clockAxis(palette: Palette, from: number, to: number): object {
  const label = to - from > DAY_MS ? (value: number): string => utc(value).slice(5, 16) : clock;
  return {
    ...timeAxis(palette),
    min: from,
    max: to,
    minInterval: (to - from) / 3.5,
    axisLabel: { ...textStyle(palette), color: palette.ink3, hideOverlap: true, formatter: (value: number) => label(value) },
  };
}

export function categoryAxis(palette: Palette, names: string[]): object {
  return {
    type: "category",
    data: names,
    axisLabel: { ...textStyle(palette), color: palette.ink3, hideOverlap: true, width: 110, overflow: "truncate" },
    axisLine: { lineStyle: { color: palette.line2 } },
    axisTick: { show: false },
  };
}

export const formatTimeTip = (value: unknown): string => (typeof value === "number" ? utc(value) : String(value));
export const formatValueTip = (value: unknown): string => (typeof value === "number" ? measure(value) : "–");
