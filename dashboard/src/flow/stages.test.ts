import { expect, it } from "vitest";

// The mock's made-up pipeline is a whole status: what the page makes of it is checked here.
// @ts-expect-error plain JavaScript without types
import { Simulation } from "../../mock/simulation.mjs";
import type { Status } from "../api/types";
import { rejects, stages, summary } from "./stages";

interface Made {
  status(): Status;
}
const made = (options: object): Status => (new (Simulation as new (options: object) => Made)({ now: 1_000_000, ...options })).status();
const RATES = { clean: 1, rejected: 1, archived: 1 };

it("shows each stage's own count, in the order of the way", () => {
  const status = made({ ahead: 100 });
  expect(stages(status, RATES, 0).map(({ id, value }) => [id, value])).toEqual([
    ["files", status.source.rows_read],
    ["clean", status.clean.clean],
    ["log", status.stream.partitions.reduce((sum, partition) => sum + partition.end_offset, 0)],
    ["receive", status.receive.rows],
    ["table", status.table.rows],
    ["archive", status.archive.rows],
  ]);
  expect(rejects(status, RATES).value).toBe(status.clean.rejected);
});

it("claims no share of the whole while files are not counted yet", () => {
  const status = made({ ahead: 100 });
  const [files] = stages(status, RATES, 3);
  expect(files).toMatchObject({ unit: "rows read so far", backlog: { value: status.source.files_waiting, text: "files waiting" } });
  expect(summary(status, "1 s", 3)).not.toMatch(/%|to go/);
  expect(summary(status, "1 s", 0)).toMatch(/% of .* to go/);
});

it("says what is wrong on the stage where it is", () => {
  const status = made({ ahead: 100 });
  const trouble = (change: Partial<Status>): (string | null)[] => stages({ ...status, ...change }, RATES, 0).map((stage) => stage.trouble?.replace("\u00a0", " ") ?? null);
  expect(trouble({})[0]).toBe("1 file quarantined");
  expect(trouble({ receive: { ...status.receive, gaps: 2 } })[3]).toBe("2 gaps in the log");
  const since = "2026-01-01T00:00:00Z";
  expect(trouble({ stream: { ...status.stream, trouble: { since, what: "connection refused" } } })[2]).toBe("does not answer");
  expect(trouble({ table: { ...status.table, bytes: status.table.limit_bytes } })[4]).toBe("nearly full");
});

it("tells what is known of each log, and no more", () => {
  const card = (scene: string): string[] => {
    const log = stages(made({ ahead: 100, scene }), RATES, 0)[2];
    return [log?.by, log?.unit, log?.note].map((text) => text?.replaceAll(/[\u00a0\u202f]/g, " ").replace(/[0-9.]+ MiB/, "9 MiB") ?? "");
  };
  expect(card("running")).toEqual(["embedded log", "batches in 3 partitions", "9 MiB on disk"]);
  // Kafka does not tell its size, and its transactions take offsets of their own.
  expect(card("kafka")).toEqual(["Apache Kafka", "offsets in 3 partitions", "topic taxi"]);
});

it("names no time to go while the log does not answer", () => {
  expect(summary(made({ ahead: 100, scene: "away" }), "1 s", 0)).toMatch(/ read; the rest waits for the log\.$/);
});

it("tells the whole in one sentence for every state", () => {
  const status = made({ ahead: 100 });
  for (const state of ["starting", "running", "waiting", "draining", "done", "failed"] as const) {
    expect(summary({ ...status, state }, null, 0)).toMatch(/^[A-Z0-9].*\.$/);
  }
  expect(summary(made({ scene: "empty" }), null, 0)).toBe("Waiting for the first file.");
});
