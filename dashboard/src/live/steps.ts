/** The steps on a row's way and how long they take: pure. */

import type { StepLatency } from "../api/types";

export const STEPS: Record<StepLatency["step"], { title: string; what: string; group: "work" | "wait" }> = {
  read: { title: "Read", what: "a batch from its file", group: "work" },
  clean: { title: "Clean", what: "a batch", group: "work" },
  append: { title: "Append", what: "until it is durable", group: "work" },
  receive: { title: "Receive", what: "durable → taken out of the log", group: "wait" },
  visible: { title: "Visible", what: "durable → can be queried", group: "wait" },
  archived: { title: "Archived", what: "durable → in the Delta table", group: "wait" },
};

const LOWEST_SECONDS = 0.0005;
const HIGHEST_SECONDS = 60;

/** Place on a scale where each tenfold has the same width, from 0 to 1. */
export function place(seconds: number): number {
  const share = Math.log(Math.max(seconds, LOWEST_SECONDS) / LOWEST_SECONDS) / Math.log(HIGHEST_SECONDS / LOWEST_SECONDS);
  return Math.min(1, Math.max(0, share));
}

/** Marks of the scale. */
export const MARKS: readonly { seconds: number; text: string }[] = [
  { seconds: 0.001, text: "1 ms" },
  { seconds: 0.01, text: "10" },
  { seconds: 0.1, text: "100" },
  { seconds: 1, text: "1 s" },
  { seconds: 10, text: "10 s" },
];
