import { expect, it } from "vitest";

import { changed, formatRoute, parseRoute } from "./route";

it("reads a page and what it shows from an address, and writes the same address again", () => {
  for (const address of ["/flow", "/rejects?rule=fare", "/row?file=data%2Fa+b.parquet&row=17"]) {
    const [path = "", search = ""] = address.split("?");
    expect(formatRoute(parseRoute(path, search))).toBe(address);
  }
});

it("opens the first page where the address names none, and survives a broken one", () => {
  expect(parseRoute("/", "").page).toBe("flow");
  expect(parseRoute("/%E0%A4%A", "").page).toBe("%E0%A4%A");
});

it("has one address for the same thing, whatever the order it was chosen in", () => {
  expect(formatRoute({ page: "live", query: { b: "2", a: "1" } })).toBe("/live?a=1&b=2");
});

it("takes a parameter away when it is emptied", () => {
  expect(changed({ a: "1", b: "2" }, { a: null, c: 3 })).toEqual({ b: "2", c: "3" });
  expect(changed({ a: "1" }, { a: "" })).toEqual({});
});
