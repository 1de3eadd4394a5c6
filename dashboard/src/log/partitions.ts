/** The log's partitions, as the page names and draws them: pure. */

import type { PartitionStatus } from "../api/types";

/** Short, beside the name of the topic: `0`, or `rejects 0` for what follows the topic's name. */
export function partitionName(topic: string, partition: PartitionStatus): string {
  const behind = partition.topic.startsWith(`${topic}.`) ? partition.topic.slice(topic.length + 1) : partition.topic === topic ? "" : partition.topic;
  return `${behind} ${partition.partition}`.trim();
}

/** Share of the offsets that the log still has, in percent, that the archive holds, and that are received. */
export function shares(partition: PartitionStatus): { archived: number; received: number } {
  const held = partition.end_offset - partition.begin_offset;
  if (held <= 0) return { archived: 0, received: 0 };
  const share = (offset: number): number => Math.min(100, Math.max(0, ((offset - partition.begin_offset) / held) * 100));
  return { archived: share(partition.archived_offset), received: share(partition.received_offset) };
}
