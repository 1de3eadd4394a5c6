// Keeps the page Live open on a program at full speed, and tells what the browser's memory is meanwhile.
//
//   node e2e/load.mjs http://127.0.0.1:PORT --minutes 10
//
// Prints a line of JSON a sample: `second`, `heap` (bytes of JavaScript that are still in use after its garbage was collected), `nodes`
// (elements of the document). Fails when the page does what it must not, or stands still.

import { parseArgs } from "node:util";

import { launch, openPage, settled } from "./browser.mjs";
import { until } from "./checks.mjs";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { minutes: { type: "string", default: "10" } } });
const [url] = positionals;
const EVERY_MS = 2000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function main() {
  const browser = await launch();
  try {
    const { page, context, faults } = await openPage(browser, new URL("/live", url).href);
    await settled(page);
    const inspector = await context.newCDPSession(page);
    const first = () => page.locator("#rows tbody tr").first().innerText();
    await until("rows are on the page", async () => (await page.locator("#rows tbody tr").count()) > 0);
    const began = Date.now();
    const end = began + Number(values.minutes) * 60_000;
    const last = await first();
    while (Date.now() < end) {
      await pause(EVERY_MS);
      await inspector.send("HeapProfiler.collectGarbage");
      const { usedSize } = await inspector.send("Runtime.getHeapUsage");
      const nodes = await page.evaluate(() => document.getElementsByTagName("*").length);
      console.log(JSON.stringify({ second: Math.round((Date.now() - began) / 1000), heap: usedSize, nodes }));
    }
    await until("newer rows still arrive", async () => (await first()) !== last);
    const connection = await page.getAttribute("[data-connection]", "data-connection");
    if (connection !== "live") throw new Error(`the page is \`${connection}\` in the end`);
    if (faults.length > 0) throw new Error(`the page did what it must not:\n  ${faults.slice(0, 5).join("\n  ")}`);
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(`load check failed: ${error.message}`);
  process.exitCode = 1;
});
