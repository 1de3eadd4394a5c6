/** Why a login failed, in words for the person who tried. Pure. */

import { ApiError } from "../api/client";

export interface Refusal {
  text: string;
  /** When to try again, by this browser's clock; null: at once. */
  until: number | null;
}

export function refusalOf(error: unknown, now: number): Refusal {
  if (!(error instanceof ApiError)) return { text: "The server's answer could not be read.", until: null };
  if (error.retryAfterSeconds !== null) return { text: "Too many logins failed.", until: now + error.retryAfterSeconds * 1000 };
  if (error.status === 401) return { text: "Name or password is wrong.", until: null };
  return { text: `${error.message.charAt(0).toUpperCase()}${error.message.slice(1)}.`, until: null };
}

/** Seconds that are left of a pause. */
export function secondsLeft(refusal: Refusal | null, now: number): number {
  if (refusal === null || refusal.until === null) return 0;
  return Math.max(0, Math.ceil((refusal.until - now) / 1000));
}
