import { expect, it } from "vitest";

import { typeWord } from "./types";

it("names types as people do", () => {
  const types = ['Timestamp(Microsecond, Some("UTC"))', "Decimal128(10, 2)", "Dictionary(Int32, Utf8)", "Int64", "Utf8", 'List(Field { name: "item" })'];
  expect(types.map(typeWord)).toEqual(["timestamp", "decimal(10,2)", "text", "int64", "text", "list"]);
});
