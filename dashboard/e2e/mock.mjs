// Looks at what only the mock can show: the server is lost and comes back, a token is asked for, the pipeline failed or found no file.
//
//   npm run build && node e2e/mock.mjs

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { launch, openPage } from "./browser.mjs";
import { apiOf, balance, drawnViews, newestRows, stageCounts, until } from "./checks.mjs";

const SERVER = join(dirname(fileURLToPath(import.meta.url)), "..", "mock", "server.mjs");

/** Mocks that run; none outlives a check that failed. */
const running = new Set();

async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function startMock(port, ...options) {
  const mock = spawn(process.execPath, [SERVER, "--port", String(port), ...options], { stdio: ["ignore", "pipe", "inherit"] });
  running.add(mock);
  mock.once("exit", () => running.delete(mock));
  await new Promise((resolve, reject) => {
    mock.stdout.once("data", resolve);
    mock.once("exit", (code) => reject(new Error(`the mock ended with ${code}`)));
  });
  return async () => {
    const ended = new Promise((resolve) => mock.once("exit", resolve));
    mock.kill();
    await ended;
  };
}

function holds(what, truth) {
  if (!truth) throw new Error(what);
}

async function wholePage(browser, port, url) {
  const stop = await startMock(port, "--ahead", "600", "--scene", "done");
  const { page, context, faults } = await openPage(browser, url);
  const api = apiOf(url);
  await page.waitForSelector("[data-stage=archive]");
  await stageCounts(page, api);
  await page.keyboard.press("2");
  await newestRows(page);
  holds("a key opens a page", new URL(page.url()).pathname === "/live");
  await page.keyboard.press("g");
  await page.keyboard.press("v");
  await drawnViews(page, api);
  await page.goBack();
  holds("back leads to where one was", new URL(page.url()).pathname === "/live");
  await page.click("nav a[href='/flow']");
  holds("the ledger is looked at", (await balance(page, api, 5)) === "balanced");
  holds(`no faults: ${faults.join("; ")}`, faults.length === 0);
  await context.close();
  await stop();
}

async function lostAndFound(browser, port, url) {
  let stop = await startMock(port, "--ahead", "100");
  const { page, context } = await openPage(browser, url);
  await page.waitForSelector("[data-stage=archive]");
  await stop();
  await until("the page says that it is stale, and since when", async () => /What you see is from \d\d:\d\d:\d\d/.test(await page.innerText("[data-stale]")));
  stop = await startMock(port, "--ahead", "150");
  await until("the page is live again", async () => (await page.getAttribute("[data-connection]", "data-connection")) === "live");
  await until("nothing is called stale any more", async () => (await page.locator("[data-stale]").count()) === 0);
  await stageCounts(page, apiOf(url));
  await context.close();
  await stop();
}

async function token(browser, port, url) {
  const stop = await startMock(port, "--ahead", "100", "--token", "right");
  const { page, context } = await openPage(browser, url);
  await page.fill("dialog input", "wrong");
  await page.click("dialog [type=submit]");
  await until("a wrong token is refused", async () => (await page.innerText("dialog [role=alert]")).includes("refused"));
  await page.fill("dialog input", "right");
  await page.click("dialog [type=submit]");
  await page.waitForSelector("[data-stage=archive]");
  await page.reload();
  await page.waitForSelector("[data-stage=archive]");
  holds("the tab keeps the token", (await page.locator("dialog").count()) === 0);
  await context.close();
  await stop();
}

async function troubles(browser, port, url) {
  for (const [scene, selector, text, address = "/"] of [
    ["failed", ".alert", "no space left"],
    ["unbalanced", "[data-balanced=false]", "12 rows"],
    ["empty", "#rows", "No row has come in yet", "/live"],
    ["no-views", "[data-view=rows_per_minute]", "rows per minute", "/views"],
    ["running", "[data-empty]", "There is no page of this name", "/nothing"],
  ]) {
    const stop = await startMock(port, "--ahead", "200", "--scene", scene);
    const { page, context, faults } = await openPage(browser, new URL(address, url).href);
    await page.waitForSelector(selector);
    await until(`scene \`${scene}\` says \`${text}\``, async () => (await page.innerText(selector)).replaceAll("\u00a0", " ").includes(text));
    holds(`no faults in scene \`${scene}\`: ${faults.join("; ")}`, faults.length === 0);
    await context.close();
    await stop();
  }
}

async function main() {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const browser = await launch();
  try {
    for (const check of [wholePage, lostAndFound, token, troubles]) {
      await check(browser, port, url);
      console.log(`${check.name}: holds`);
    }
  } finally {
    for (const mock of running) mock.kill();
    await browser.close();
  }
}

main().catch((error) => {
  console.error(`mock check failed: ${error.message}`);
  process.exit(1);
});
