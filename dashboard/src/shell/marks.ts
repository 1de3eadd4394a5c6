/** The small marks beside the names of pages: what is there to look at. Pure. */

import type { Status } from "../api/types";
import { compact, plural } from "../format/format";
import { healthOf } from "./health";

export interface Mark {
  text: string;
  tone: "calm" | "warn" | "bad";
  why: string;
}

export function marksOf(status: Status): Partial<Record<string, Mark>> {
  const health = healthOf(status);
  const marks: Partial<Record<string, Mark>> = {};
  if (health.tone === "bad" || health.tone === "warn") marks["flow"] = { text: "!", tone: health.tone, why: health.why };
  if (status.clean.rejected > 0) marks["rejects"] = { text: compact(status.clean.rejected), tone: "calm", why: plural(status.clean.rejected, "rejected row") };
  return marks;
}
