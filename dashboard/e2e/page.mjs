// Looks at the page of a running program, as a person would, and fails with a clear message when it does not tell the truth.
//
//   node e2e/page.mjs http://127.0.0.1:PORT [--screenshot DIR] [--wait-done SECONDS]
//
// CHROMIUM names the browser's program (default /usr/bin/chromium), MILLSTREAM_TOKEN the server's token when it wants one.
// Exit code 0: all that was looked at holds. 1: something does not.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { launch, openPage, scrollThrough } from "./browser.mjs";
import { apiOf, balance, drawnViews, newestRows, stageCounts, until } from "./checks.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { screenshot: { type: "string" }, "wait-done": { type: "string", default: "0" } },
});
const [url] = positionals;
if (url === undefined) {
  console.error("usage: node e2e/page.mjs http://127.0.0.1:PORT [--screenshot DIR] [--wait-done SECONDS]");
  process.exit(2);
}
const token = process.env.MILLSTREAM_TOKEN;
const api = apiOf(url, token);

async function screenshots(browser, directory) {
  await mkdir(directory, { recursive: true });
  const shapes = [
    { name: "light", theme: "light", width: 1440, height: 900 },
    { name: "dark", theme: "dark", width: 1440, height: 900 },
    { name: "phone", theme: "light", width: 390, height: 844 },
  ];
  for (const { name, ...shape } of shapes) {
    const { page, context } = await openPage(browser, url, { ...shape, token });
    await page.waitForSelector("[data-stage=archive]");
    await scrollThrough(page);
    await drawnViews(page, api);
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: join(directory, `${name}-top.png`) });
    await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
    await context.close();
  }
}

async function main() {
  const browser = await launch();
  try {
    const { page, faults } = await openPage(browser, url, { token });
    await page.waitForSelector("[data-stage=archive]", { timeout: 20_000 });
    await until("the page is connected", async () => (await page.getAttribute("[data-connection]", "data-connection")) === "live");
    await until("a row is in the live table", async () => (await api("/api/status")).table.rows > 0);
    console.log(`stages: ${await stageCounts(page, api)}`);
    console.log(`newest rows: ${await newestRows(page)}`);
    await scrollThrough(page);
    console.log(`views: ${await drawnViews(page, api)}`);
    console.log(`ledger: ${await balance(page, api, Number(options["wait-done"]))}`);
    if (options.screenshot !== undefined) await screenshots(browser, options.screenshot);
    if (faults.length > 0) throw new Error(`the page did what it must not:\n  ${faults.join("\n  ")}`);
    console.log("no console errors, no request to another host");
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(`page check failed: ${error.message}`);
  process.exitCode = 1;
});
