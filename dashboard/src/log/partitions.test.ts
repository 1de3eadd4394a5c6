import { expect, it } from "vitest";

import type { PartitionStatus } from "../api/types";
import { partitionName, shares } from "./partitions";

const partition = (change: Partial<PartitionStatus>): PartitionStatus => ({
  topic: "taxi",
  partition: 0,
  begin_offset: 100,
  end_offset: 300,
  received_offset: 250,
  archived_offset: 150,
  ...change,
});

it("names a partition by what the topic's name does not tell already", () => {
  expect(partitionName("taxi", partition({ partition: 3 }))).toBe("3");
  expect(partitionName("taxi", partition({ topic: "taxi.rejects" }))).toBe("rejects 0");
  expect(partitionName("taxi", partition({ topic: "other" }))).toBe("other 0");
});

it("draws shares of what the log still has, and never past its ends", () => {
  expect(shares(partition({}))).toEqual({ archived: 25, received: 75 });
  expect(shares(partition({ archived_offset: 40, received_offset: 320 }))).toEqual({ archived: 0, received: 100 });
  expect(shares(partition({ end_offset: 100 }))).toEqual({ archived: 0, received: 0 });
});
