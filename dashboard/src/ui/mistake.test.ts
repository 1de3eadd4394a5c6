import { expect, it } from "vitest";

import { pieces } from "./mistake";

it("tells what is said from what is shown of the file", () => {
  const text = "p.toml:1:3: first\n  |\n1 | a = 1\n  |   ^\n\nsecond, allowed: a | b\n   |\n12 | b";
  expect(pieces(text)).toEqual([
    { text: "p.toml:1:3: first", isCode: false },
    { text: "  |\n1 | a = 1\n  |   ^", isCode: true },
    { text: "second, allowed: a | b", isCode: false },
    { text: "   |\n12 | b", isCode: true },
  ]);
  expect(pieces("one sentence")).toEqual([{ text: "one sentence", isCode: false }]);
});
