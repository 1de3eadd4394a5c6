/** The states of a file in words, and how loud they are. */

import type { FileState } from "../api/types";

export const FILE_STATES: Record<FileState, { word: string; tone: "calm" | "flow" | "good" | "wait" | "warn" }> = {
  quarantined: { word: "quarantined", tone: "warn" },
  reading: { word: "reading", tone: "flow" },
  published: { word: "archiving", tone: "flow" },
  waiting: { word: "waiting", tone: "calm" },
  done: { word: "done", tone: "good" },
};
