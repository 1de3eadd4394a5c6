import { expect, it } from "vitest";

// @ts-expect-error plain JavaScript without types
import { Simulation } from "../../mock/simulation.mjs";
import type { Ledger, Status } from "../api/types";
import { concerns, waiting, waitingText } from "./attention";

interface Made {
  status(): Status;
  ledger(): Ledger;
}
const made = (options: object): Made => new (Simulation as new (options: object) => Made)({ now: 1_000_000, ...options });

it("names each quarantined file with its reason, and what does not add up before it", () => {
  const run = made({ ahead: 300, scene: "unbalanced" });
  const found = concerns(run.status(), run.ledger());
  expect(found.map(({ tone }) => tone)).toEqual(["bad", "warn"]);
  expect(found[1]?.title).toMatch(/2020-08/);
  expect(found[1]?.text).toMatch(/footer/);
});

it("has nothing to say of a pipeline that is well", () => {
  const run = made({ ahead: 300 });
  const ledger = run.ledger();
  expect(concerns(run.status(), { ...ledger, files: ledger.files.filter(({ state }) => state !== "quarantined") })).toEqual([]);
});

it("tells what waits, stage by stage, and no stage where nothing does", () => {
  const run = made({ ahead: 60 });
  expect(waiting(run.status(), 0).map(({ stage }) => stage)).toEqual(["files", "log", "archive", "rejects"]);
  expect(waiting(made({ ahead: 20, scene: "empty" }).status(), 0)).toEqual([]);
  expect(waitingText({ rows: 1, text: "rows to read", stage: "files" })).toBe("1 row to read");
});
