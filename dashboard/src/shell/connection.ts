/** The connection's state in words: pure. */

import { clock, duration } from "../format/format";
import type { StreamState } from "../stream/lifecycle";

/** Without a byte for this long the page says that it is stale, although the connection may still hold. */
const QUIET_MS = 8000;

export interface ConnectionText {
  tone: "live" | "wait" | "lost";
  short: string;
  /** Set while what the page shows may be out of date. */
  stale: string | null;
}

export function connectionText(state: StreamState, aliveAt: number | null, now: number): ConnectionText {
  const since = aliveAt === null ? null : `What you see is from ${clock(aliveAt)}, ${duration(Math.max(0, (now - aliveAt) / 1000))} ago.`;
  switch (state.kind) {
    case "live":
      if (aliveAt !== null && now - aliveAt > QUIET_MS) return { tone: "wait", short: "quiet", stale: `The server has sent nothing for a while. ${since ?? ""}` };
      return { tone: "live", short: "live", stale: null };
    case "connecting":
      return { tone: "wait", short: "connecting", stale: since === null ? null : `Connecting again. ${since}` };
    case "waiting": {
      const seconds = Math.max(0, Math.ceil((state.retryAt - now) / 1000));
      const next = seconds > 0 ? `Next try in ${seconds}\u202fs.` : "Trying now.";
      return { tone: "lost", short: "lost", stale: [`No connection: ${state.why}.`, since, next].filter((part) => part !== null).join(" ") };
    }
    case "unauthorized":
      return { tone: "lost", short: "log in", stale: since };
    case "stopped":
      return { tone: "lost", short: "stopped", stale: since };
  }
}
