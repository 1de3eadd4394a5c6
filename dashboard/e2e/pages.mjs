// What each page of a running program shows, compared with what the program says, and with its SQL.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { settled } from "./browser.mjs";
import { until } from "./checks.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export function holds(what, truth) {
  if (!truth) throw new Error(what);
}

/** No finding of axe that is serious or worse. */
export async function accessible(page, name) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target }) => target.join(" ")).join(", ")}`);
  if (told.length > 0) throw new Error(`accessibility of ${name}: ${told.join("; ")}`);
}

export async function rowsOf(url, sql, version) {
  const response = await fetch(new URL("/api/sql", url), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ sql, ...(version === undefined ? {} : { version }) }) });
  if (!response.ok) throw new Error(`\`${sql}\` answered ${response.status}: ${await response.text()}`);
  return (await response.json()).rows;
}

const number = (text) => Number(text.replaceAll(/[^0-9.-]/g, ""));

/** A click on a stage opens it, the address says so, and a reload brings it back; a quarantined file tells why. */
export async function stageDrawers(page, api) {
  for (const [stage, wanted] of [["log", "lag"], ["table", "Segments by partition"], ["clean", "Splits at work"], ["receive", "records that are missing"], ["archive", "Newest versions"], ["rejects", "By rule"]]) {
    await page.click(`[data-stage=${stage}] h3 a`);
    await until(`the drawer of \`${stage}\` shows \`${wanted}\``, async () => (await page.innerText("dialog[open]")).includes(wanted));
    holds(`the address names the stage \`${stage}\``, new URL(page.url()).searchParams.get("stage") === stage);
    if (stage === "table") {
      await page.reload();
      await page.waitForSelector("dialog[open]");
    }
    await page.keyboard.press("Escape");
    await until("Esc closes the drawer", async () => (await page.locator("dialog[open]").count()) === 0);
  }
  const quarantined = (await api("/api/ledger")).files.find(({ state }) => state === "quarantined");
  if (quarantined === undefined) return "7 stages";
  await page.click("[data-stage=files] h3 a");
  await page.click(`dialog a:text-is("${quarantined.file}")`);
  await until("the quarantined file tells why", async () => (await page.innerText("dialog[open]")).includes(quarantined.reason));
  await accessible(page, "a file");
  await page.keyboard.press("Escape");
  return `7 stages, and why ${quarantined.file} is quarantined`;
}

/** Rows arrive by themselves, are held, filtered, and lead to where they come from; columns are profiled. */
export async function live(page, api) {
  const first = async () => page.locator("#rows tbody tr").first().innerText();
  const before = await first();
  await until("newer rows arrive", async () => (await first()) !== before);
  await page.click("#rows button");
  const held = await first();
  const received = async () => (await api("/api/status")).receive.rows;
  const then = await received();
  await until("more rows come in", async () => (await received()) > then);
  holds("held rows stay", (await first()) === held);
  await page.click("#rows button");
  await page.keyboard.press("/");
  await page.keyboard.type("no row has this");
  await until("a filter that nothing fits says so", async () => (await page.innerText("#rows")).includes("No row fits"));
  holds("the filter stands in the address", page.url().includes("find="));
  await page.fill("#rows input", "");
  await until("profiles of columns show", async () => (await page.locator("[data-column]").count()) > 5);
  await until("each step has a latency", async () => (await page.locator("[data-step] .dot").count()) === 6);
  return `${await page.locator("[data-column]").count()} columns, 6 steps`;
}

/** Versions, and the archive as it was at one of them, with the same count as its SQL. */
export async function archive(page, api, url) {
  const detail = await api("/api/archive");
  const middle = detail.versions[Math.floor(detail.versions.length / 2)];
  await page.goto(new URL(`/archive?version=${middle.version}&sql=${encodeURIComponent("SELECT count(*) AS n FROM archive")}`, url).href);
  await until("a link shows the rows of its version", async () => (await page.getAttribute("[data-travel]", "data-travel")) === String(middle.version));
  const shown = number(await page.locator("[data-travel] tbody td").first().innerText());
  const [[real]] = await rowsOf(url, "SELECT count(*) FROM archive", middle.version);
  holds(`version ${middle.version} has ${real} rows, the page says ${shown}`, shown === real);
  holds("every version is listed", (await page.locator("[data-version]").count()) >= Math.min(60, detail.versions.length));
  return `${detail.versions.length} versions; ${real} rows as of version ${middle.version}`;
}

/** Counts by rule equal the SQL; a reject opens with its values and reasons side by side. */
export async function rejects(page, url) {
  const [[rule, rows]] = await rowsOf(url, "SELECT rule, count(*) FROM (SELECT unnest(rules) AS rule FROM rejects) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1");
  await page.click(`a.item:has-text("${rule}")`);
  await until("the rule is a filter", async () => new URL(page.url()).searchParams.get("rule") === rule);
  await until(`the page counts rows of \`${rule}\` as SQL does`, async () => {
    const [[now]] = await rowsOf(url, `SELECT count(*) FROM rejects WHERE array_has(rules, '${rule}')`);
    const text = await page.locator(`a.item:has-text("${rule}") .value`).innerText();
    return number(text) >= rows && number(text) <= now;
  });
  await page.locator("[data-reject] a").first().click();
  await page.waitForSelector("dialog[open]");
  const text = await page.innerText("dialog[open]");
  holds(`the reject tells its rule \`${rule}\`: ${text}`, text.includes(rule) && text.includes("original value"));
  await accessible(page, "a reject");
  await page.click("dialog a.button:has-text('The way of this row')");
  await page.waitForSelector("[data-outcome=rejected]");
  return `${rows} rows broke \`${rule}\``;
}

/** A delivered row tells its file, offset, version and file of the archive. */
export async function way(page, url) {
  const [[file, row]] = await rowsOf(url, "SELECT _file, _row FROM archive LIMIT 1");
  await page.goto(new URL(`/row?file=${encodeURIComponent(file)}&row=${row}`, url).href);
  await page.waitForSelector("[data-outcome=delivered]");
  const text = await page.innerText(".way");
  for (const word of [file, "offset", "version", ".parquet"]) holds(`the way of a row names ${word}: ${text}`, text.includes(word));
  await page.click("button:text-is('Next row')");
  await until("the next row is another address", async () => new URL(page.url()).searchParams.get("row") === String(row + 1));
  return `${file}, row ${row}`;
}

/** Every page: no serious finding of axe, nothing wider than the screen, light and dark. */
export async function everywhere(openPage, browser, url, token) {
  const addresses = ["/flow", "/live", "/archive", "/rejects", "/views", "/row"];
  let slowest = 0;
  for (const { theme, width, height } of [{ theme: "light", width: 1440, height: 900 }, { theme: "dark", width: 390, height: 844 }]) {
    for (const address of addresses) {
      const { page, context, faults } = await openPage(browser, new URL(address, url).href, { theme, width, height, token });
      await settled(page);
      await accessible(page, `${address} (${theme}, ${width})`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      holds(`${address} fits ${width} pixels, it is ${wide} wider`, wide <= 0);
      const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0);
      slowest = Math.max(slowest, paint);
      holds(`no faults on ${address}: ${faults.join("; ")}`, faults.length === 0);
      await context.close();
    }
  }
  return `${addresses.length} pages, two ways; first paint within ${Math.round(slowest)} ms`;
}
