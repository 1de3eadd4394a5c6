/** Which chart suggests itself for columns. Pure. */

import type { Column } from "../format/cell";

export interface Suggested {
  kind: string;
  x: string | null;
  y: string | null;
  series: string | null;
}

/** A line over time, bars by name, points for two numbers; a second text column makes the series. */
export function suggested(columns: readonly Column[]): Suggested {
  const of = (kind: Column["kind"]): Column[] => columns.filter((column) => column.kind === kind);
  const [times, numbers, texts] = [of("time"), of("number"), of("text")];
  const time = times[0];
  if (time !== undefined) return { kind: "line", x: time.name, y: numbers[0]?.name ?? null, series: texts[0]?.name ?? null };
  const name = texts[0];
  if (name !== undefined) return { kind: "bar", x: name.name, y: numbers[0]?.name ?? null, series: texts[1]?.name ?? null };
  if (numbers.length >= 2) return { kind: numbers.length === 2 ? "bar" : "scatter", x: numbers[0]?.name ?? null, y: numbers[1]?.name ?? null, series: null };
  return { kind: "bar", x: columns[0]?.name ?? null, y: numbers[0]?.name ?? null, series: null };
}
