import { expect, it } from "vitest";

// @ts-expect-error plain JavaScript without types
import { Simulation } from "../../mock/simulation.mjs";
import type { Status } from "../api/types";
import { healthOf } from "./health";

interface Made {
  status(): Status;
}
const made = (options: object): Status => (new (Simulation as new (options: object) => Made)({ now: 1_000_000, ...options })).status();

it("says what runs, waits and is done", () => {
  expect(healthOf(made({ ahead: 20 })).word).toBe("running");
  expect(healthOf(made({ ahead: 20, scene: "empty" })).tone).toBe("wait");
  const done = made({ ahead: 400, scene: "done" });
  expect(healthOf({ ...done, source: { ...done.source, files_quarantined: 0 } }).tone).toBe("good");
});

it("puts what a person must look at before all else", () => {
  expect(healthOf(made({ ahead: 200, scene: "failed" })).tone).toBe("bad");
  expect(healthOf(made({ ahead: 400, scene: "done" })).word).toBe("1 quarantined");
  const status = made({ ahead: 20 });
  expect(healthOf({ ...status, receive: { ...status.receive, gaps: 1 } }).word).toBe("rows missing");
  expect(healthOf({ ...status, table: { ...status.table, bytes: 95, limit_bytes: 100 } }).word).toBe("nearly full");
});
