import { expect, it } from "vitest";

import { CHORD_MS, Keys } from "./keys";

const keys = (): Keys => new Keys([{ id: "flow", key: "f" }, { id: "live", key: "l" }]);

it("opens a page by g and its letter, and by its number", () => {
  const pressed = keys();
  expect(pressed.press("g", 0)).toEqual({ kind: "none" });
  expect(pressed.press("l", 100)).toEqual({ kind: "open", page: "live" });
  expect(pressed.press("1", 200)).toEqual({ kind: "open", page: "flow" });
  expect(pressed.press("9", 300)).toEqual({ kind: "none" });
});

it("forgets a g that nothing followed", () => {
  const pressed = keys();
  pressed.press("g", 0);
  expect(pressed.press("l", CHORD_MS + 1)).toEqual({ kind: "none" });
  pressed.press("g", 5000);
  expect(pressed.press("x", 5001)).toEqual({ kind: "none" });
  expect(pressed.press("l", 5002)).toEqual({ kind: "none" });
});

it("knows the other keys", () => {
  expect(["/", "?", "t"].map((key) => keys().press(key, 0).kind)).toEqual(["filter", "help", "theme"]);
});
