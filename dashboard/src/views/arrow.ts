/** Arrow IPC streams into results. The only module that imports `apache-arrow`; it is loaded when the first answer comes. */

import { DataType, tableFromIPC, type Field, type Vector } from "apache-arrow";

import { kindOf, type Column } from "../format/cell";
import type { Result } from "./result";

/** Decodes a whole stream. Throws what `apache-arrow` throws on types that it cannot read. */
export function resultFromArrow(bytes: Uint8Array, truncated: boolean): Result {
  const table = tableFromIPC(bytes);
  const columns = table.schema.fields.map(column);
  const values = table.schema.fields.map((field, index) => columnValues(table.getChildAt(index), field));
  const rows = Array.from({ length: table.numRows }, (_row, at) => values.map((list) => list[at] ?? null));
  return { columns, rows, truncated };
}

function column(field: Field): Column {
  const dataType = String(field.type);
  if (DataType.isTimestamp(field.type) || DataType.isDate(field.type)) {
    return { name: field.name, dataType: "Timestamp(Millisecond)", kind: "time" };
  }
  if (DataType.isDictionary(field.type)) return { name: field.name, dataType, kind: kindOf(String(field.type.dictionary)) };
  return { name: field.name, dataType, kind: kindOf(dataType) };
}

function columnValues(vector: Vector | null, field: Field): unknown[] {
  if (vector === null) return [];
  const type: DataType = field.type;
  if (DataType.isDecimal(type)) {
    const scale = type.scale;
    return Array.from(vector, (value: Uint32Array | null) => (value === null ? null : decimalText(value, scale)));
  }
  return Array.from(vector, plain);
}

function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (value instanceof Uint8Array) return Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (typeof value === "object" && value !== null && "toJSON" in value && typeof value.toJSON === "function") {
    return (value as { toJSON: () => unknown }).toJSON();
  }
  return value;
}

/** Little-endian 32-bit words of a two's complement number, with `scale` digits behind the point. */
export function decimalText(words: Uint32Array, scale: number): string {
  let unscaled = 0n;
  for (let index = words.length - 1; index >= 0; index -= 1) unscaled = (unscaled << 32n) | BigInt(words[index] ?? 0);
  unscaled = BigInt.asIntN(words.length * 32, unscaled);
  const sign = unscaled < 0n ? "-" : "";
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, "0");
  if (scale <= 0) return sign + digits;
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
