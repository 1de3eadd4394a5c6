/** How long to wait before the next attempt to connect. */

export const FIRST_DELAY_MS = 500;
export const LONGEST_DELAY_MS = 15_000;

/**
 * "Full jitter" between half and the whole of an exponential step, so that many pages do not come back at once.
 *
 * @param attempt failed attempts since the last connection that worked, from 1
 * @param random a number in [0, 1)
 * @param firstMs the first step, when the server named one by `retry:`
 */
export function backoffMs(attempt: number, random: number, firstMs: number = FIRST_DELAY_MS): number {
  const step = Math.min(LONGEST_DELAY_MS, firstMs * 2 ** Math.min(attempt - 1, 16));
  return Math.round(step / 2 + (step / 2) * random);
}
