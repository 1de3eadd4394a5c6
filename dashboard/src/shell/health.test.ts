import { expect, it } from "vitest";

// @ts-expect-error plain JavaScript without types
import { Simulation } from "../../mock/simulation.mjs";
import type { Status } from "../api/types";
import { healthOf } from "./health";

interface Made {
  status(): Status;
}
function made(options: object, quarantined = 0): Status {
  const status = new (Simulation as new (options: object) => Made)({ now: 1_000_000, ...options }).status();
  return { ...status, source: { ...status.source, files_quarantined: quarantined } };
}

it("says what runs, waits and is done", () => {
  expect(healthOf(made({ ahead: 20 })).word).toBe("running");
  expect(healthOf(made({ ahead: 20, scene: "empty" })).tone).toBe("wait");
  expect(healthOf(made({ ahead: 400, scene: "done" })).tone).toBe("good");
});

it("puts what a person must look at before all else", () => {
  expect(healthOf(made({ ahead: 200, scene: "failed" })).tone).toBe("bad");
  expect(healthOf(made({ ahead: 400, scene: "done" }, 1)).word).toBe("1 quarantined");
  const status = made({ ahead: 20 });
  expect(healthOf({ ...status, receive: { ...status.receive, gaps: 1 } }).word).toBe("rows missing");
  expect(healthOf({ ...status, table: { ...status.table, bytes: 95, limit_bytes: 100 } }).word).toBe("nearly full");
});
