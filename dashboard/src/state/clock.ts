/** The browser's clock, as the parts that want one from outside take it. */

import type { Clock } from "../stream/lifecycle";

export const browserClock: Clock = {
  now: () => Date.now(),
  setTimeout: (run, delayMs) => window.setTimeout(run, delayMs),
  clearTimeout: (handle) => {
    window.clearTimeout(handle);
  },
};
