/** Arrow IPC streams as frames. Loaded with the first answer. */

import { DataType, tableFromIPC, type Field } from "apache-arrow";

import { kindOf } from "../format/cell";
import { decimalText } from "../views/arrow";
import { typeName, type Frame, type FrameColumn } from "./frame";

export function frameFromArrow(bytes: Uint8Array, facts: { truncated: boolean; elapsedMs: number }): Frame {
  const table = tableFromIPC(bytes);
  const { fields } = table.schema;
  const vectors = fields.map((_field, index) => table.getChildAt(index));
  const readers = fields.map(reader);
  return {
    columns: fields.map(column),
    length: table.numRows,
    bytes: bytes.length,
    ...facts,
    value: (row, at) => {
      const value: unknown = vectors[at]?.get(row) ?? null;
      return value === null ? null : (readers[at]?.(value) ?? null);
    },
  };
}

function column(field: Field): FrameColumn {
  const type: DataType = field.type;
  const name = DataType.isDecimal(type) ? `decimal(${type.precision}, ${type.scale})` : typeName(String(type));
  if (DataType.isTimestamp(type) || DataType.isDate(type)) return { name: field.name, dataType: "Timestamp(Millisecond)", kind: "time", type: name };
  return { name: field.name, dataType: String(type), kind: kindOf(String(type)), type: name };
}

function reader(field: Field): (value: unknown) => unknown {
  const type: DataType = field.type;
  if (DataType.isDecimal(type)) return (value) => decimalText(value as Uint32Array, type.scale);
  return plain;
}

function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (value instanceof Uint8Array) return Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (typeof value === "object" && value !== null && "toJSON" in value && typeof value.toJSON === "function") return (value as { toJSON: () => unknown }).toJSON();
  return value;
}
