// Opens the page in the machine's Chromium, and keeps an eye on what a good page never does.

import { chromium } from "playwright-core";

const ARGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
}

/** Opens `url`; what goes wrong on the way is collected in `faults`. */
export async function openPage(browser, url, { theme = "light", width = 1440, height = 900, token, scale = 1 } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, deviceScaleFactor: scale });
  if (token !== undefined) await context.addInitScript((value) => sessionStorage.setItem("millstream.token", value), token);
  const page = await context.newPage();
  const faults = [];
  const host = new URL(url).host;
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(`console error: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`uncaught error: ${error.message}`));
  page.on("request", (request) => {
    const target = new URL(request.url());
    if (target.protocol.startsWith("http") && target.host !== host) faults.push(`request to another host: ${request.url()}`);
  });
  await page.goto(url, { waitUntil: "load" });
  return { page, context, faults };
}

/** Waits until the page has its first facts and nothing on it is still loading; charts have had their turn. */
export async function settled(page) {
  await page.waitForSelector("[data-page]", { timeout: 20_000 });
  await page.waitForFunction(() => document.querySelectorAll("[data-loading], [data-drawn=false], [data-state=loading]").length === 0, undefined, { timeout: 20_000 }).catch(() => undefined);
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}
