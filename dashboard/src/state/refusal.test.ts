import { expect, it } from "vitest";

import { ApiError } from "../api/client";
import { refusalOf, secondsLeft } from "./refusal";

it("tells a wrong password, a pause with its seconds, and a server that is away", () => {
  expect(refusalOf(new ApiError("name or password is wrong", 401), 0)).toEqual({ text: "Name or password is wrong.", until: null });
  const pause = refusalOf(new ApiError("too many", 429, null, 8), 1000);
  expect(pause).toEqual({ text: "Too many logins failed.", until: 9000 });
  expect(refusalOf(new ApiError("the server cannot be reached", 0), 0).text).toBe("The server cannot be reached.");
  expect(refusalOf(new TypeError("x"), 0).text).toBe("The server's answer could not be read.");
});

it("counts a pause down and ends it", () => {
  const pause = { text: "", until: 9000 };
  expect([1000, 8001, 9000, 9500].map((now) => secondsLeft(pause, now))).toEqual([8, 1, 0, 0]);
  expect(secondsLeft(null, 0)).toBe(0);
});
