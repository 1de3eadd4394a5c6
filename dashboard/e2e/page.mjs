// Looks at the page of a running program, as a person would, and fails with a clear message when it does not tell the truth.
//
//   node e2e/page.mjs http://127.0.0.1:PORT [--wait-done SECONDS]
//
// CHROMIUM names the browser's program (default /usr/bin/chromium), MILLSTREAM_TOKEN the server's token when it wants one.
// Exit code 0: all that was looked at holds. 1: something does not.

import { parseArgs } from "node:util";

import { launch, openPage, settled } from "./browser.mjs";
import { apiOf, balance, drawnViews, newestRows, stageCounts, until } from "./checks.mjs";
import { archive, everywhere, live, rejects, stageDrawers, way } from "./pages.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { "wait-done": { type: "string", default: "0" } },
});
const [url] = positionals;
if (url === undefined) {
  console.error("usage: node e2e/page.mjs http://127.0.0.1:PORT [--wait-done SECONDS]");
  process.exit(2);
}
const token = process.env.MILLSTREAM_TOKEN;
const api = apiOf(url, token);

/** Opens a page of the product, in the tab that is there. */
async function open(page, address) {
  await page.goto(new URL(address, url).href, { waitUntil: "load" });
  await settled(page);
}

async function main() {
  const browser = await launch();
  try {
    const { page, faults } = await openPage(browser, new URL("/flow", url).href, { token });
    await page.waitForSelector("[data-stage=archive]", { timeout: 20_000 });
    await until("the page is connected", async () => (await page.getAttribute("[data-connection]", "data-connection")) === "live");
    await until("a row is in the live table", async () => (await api("/api/status")).table.rows > 0);
    console.log(`stages: ${await stageCounts(page, api)}`);
    await open(page, "/live");
    console.log(`newest rows: ${await newestRows(page)}`);
    console.log(`live: ${await live(page, api)}`);
    await open(page, "/flow");
    console.log(`drawers: ${await stageDrawers(page, api)}`);
    await open(page, "/views");
    console.log(`views: ${await drawnViews(page, api)}`);
    await open(page, "/flow");
    console.log(`ledger: ${await balance(page, api, Number(options["wait-done"]))}`);
    await open(page, "/archive");
    console.log(`archive: ${await archive(page, api, url)}`);
    await open(page, "/rejects");
    console.log(`rejects: ${await rejects(page, url)}`);
    console.log(`a row: ${await way(page, url)}`);
    console.log(`all pages: ${await everywhere(openPage, browser, url, token)}`);
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
