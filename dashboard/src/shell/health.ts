/** How the pipeline is, in a word: what needs a person comes before what waits, and that before what runs. Pure. */

import type { Status } from "../api/types";
import { plural } from "../format/format";
import { toLookAt } from "../log/trouble";

export type HealthTone = "calm" | "flow" | "good" | "wait" | "warn" | "bad";

export interface Health {
  tone: HealthTone;
  /** The state in one or two words. */
  word: string;
  /** What is behind it, for a tooltip and for readers of the screen. */
  why: string;
}

const NEARLY_FULL = 0.9;

export function healthOf(status: Status): Health {
  const errors = toLookAt(status.messages).filter((message) => message.level === "error");
  const { source, receive, table, stream } = status;
  if (status.state === "failed") return { tone: "bad", word: "failed", why: errors[0]?.text ?? "the pipeline ended by an error" };
  if (receive.gaps > 0) return { tone: "bad", word: "rows missing", why: `${plural(receive.gaps, "gap")} in the log` };
  if (stream.trouble !== null) return { tone: "bad", word: "log away", why: stream.trouble.what };
  if (source.files_quarantined > 0) return { tone: "warn", word: `${source.files_quarantined} quarantined`, why: `${plural(source.files_quarantined, "file")} could not be read; the others go on` };
  if (table.limit_bytes > 0 && table.bytes / table.limit_bytes >= NEARLY_FULL) return { tone: "warn", word: "nearly full", why: "the live table waits for the archive" };
  switch (status.state) {
    case "starting":
      return { tone: "wait", word: "starting", why: "log, archive and live table are being recovered" };
    case "draining":
      return { tone: "wait", word: "stopping", why: "what is under way is being brought to its end" };
    case "done":
      return { tone: "good", word: "done", why: "all rows have their outcome" };
    case "waiting":
      return { tone: "wait", word: "waiting for files", why: source.rows_total > 0 ? "all rows have their outcome" : "no file was found yet" };
    case "running":
      return { tone: "flow", word: "running", why: "rows flow" };
  }
}
