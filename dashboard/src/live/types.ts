/** Arrow types in a word: `Timestamp(Microsecond, Some("UTC"))` as `timestamp`. */
export function typeWord(dataType: string): string {
  const decimal = /^Decimal\d+\((\d+), ?(\d+)\)/i.exec(dataType);
  if (decimal !== null) return `decimal(${decimal[1] ?? ""},${decimal[2] ?? ""})`;
  const dictionary = /^Dictionary\(.*, ?([A-Za-z0-9]+)\)$/.exec(dataType);
  const name = (dictionary?.[1] ?? dataType).replace(/\(.*$/, "").toLowerCase();
  return { utf8: "text", largeutf8: "text", utf8view: "text", date32: "date" }[name] ?? name;
}
