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

/** Scrolls through the whole page, so that what loads when it is seen has loaded. */
export async function scrollThrough(page) {
  const { height, step } = await page.evaluate(() => ({ height: document.documentElement.scrollHeight, step: window.innerHeight / 2 }));
  for (let top = 0; top < height; top += step) {
    await page.evaluate((at) => window.scrollTo(0, at), top);
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  }
}
