/** What can be explored: measures and dimensions, found from a table's columns and a sample of its rows. Pure. */

import type { ColumnInfo } from "../api/types";
import { isInternal, kindOf, type Column } from "../format/cell";

/** A column to count by, and about how many values it has. */
export interface Dimension extends Column {
  /** In the sample; null where that was not asked. */
  distinct: number | null;
}

export interface Fields {
  measures: Column[];
  /** Columns that may be dimensions; a sample tells which are. */
  candidates: Column[];
}

/** Whole numbers with more values than this are amounts, not names for things. */
const MOST_CODES = 300;
/** Texts of which more than this share of the rows have one of their own are names of rows. */
const MOST_UNIQUE = 0.5;
/** Below it every text may look unique. */
const FEW_ROWS = 50;

const FILE = "_file";

/** Columns by what their type is good for; nested ones for nothing. */
export function fieldsOf(columns: readonly ColumnInfo[], time: string): Fields {
  const all = columns.map((column): Column => ({ name: column.name, dataType: column.data_type, kind: kindOf(column.data_type) }));
  const own = all.filter((column) => !isNested(column.dataType) && column.name !== time && (!isInternal(column.name) || column.name === FILE));
  const last = (column: Column): number => (column.name === FILE ? 1 : 0);
  return {
    measures: own.filter((column) => column.kind === "number" && !isCode(column.name)),
    candidates: own.filter((column) => column.kind === "text" || column.kind === "boolean" || isWhole(column.dataType) || isDate(column.dataType)).sort((left, right) => last(left) - last(right)),
  };
}

export function byName(columns: readonly Column[]): ReadonlyMap<string, Column> {
  return new Map(columns.map((column) => [column.name, column]));
}

export function isNested(dataType: string): boolean {
  return /^(large)?(list|struct|map|fixedsizelist|union|non-null list|listview)/i.test(dataType.trim());
}

/** Whether the sample can count its values. */
export function isCountable(column: Column): boolean {
  return column.kind === "text" || isWhole(column.dataType);
}

/** The candidates that are dimensions, by how many values the sample has (`null`: not asked). */
export function dimensionsOf(candidates: readonly Column[], distinct: ReadonlyMap<string, number>, rows: number): Dimension[] {
  const fits = (column: Column): boolean => {
    const count = distinct.get(column.name);
    if (count === undefined) return true;
    if (count === 0 && rows > 0) return false;
    if (isWhole(column.dataType)) return count <= MOST_CODES && (rows < FEW_ROWS || count <= rows * MOST_UNIQUE);
    return column.name === FILE || rows < FEW_ROWS || count <= rows * MOST_UNIQUE;
  };
  return candidates.filter(fits).map((column) => ({ ...column, distinct: distinct.get(column.name) ?? null }));
}

function isWhole(dataType: string): boolean {
  return /^u?int/i.test(dataType);
}

function isDate(dataType: string): boolean {
  return /^date/i.test(dataType);
}

/** Numbers that name things are not added up. */
function isCode(name: string): boolean {
  return /(^|[_ ])(id|code|key|zip|number|year|type|kind|status|flag)$|[a-z](ID|Id|Code|Key)$/.test(name) || /^(id|code|key|zip|year)$/i.test(name);
}
