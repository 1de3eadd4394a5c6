// Explores a running program, and asks it in SQL, as a person would; fails with a clear message when a number is not the true one.
//
//   node e2e/explore.mjs http://127.0.0.1:PORT --out DIR
//
// The pipeline has to stand still, with rows on both sides of the border between archive and live table. What was exported, and the
// statement that it answers, is left in DIR for others to read.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { axeFindings } from "./axe.mjs";
import { launch, openPage } from "./browser.mjs";
import { apiOf, until } from "./checks.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: "string" } },
});
const [url] = positionals;
if (url === undefined || options.out === undefined) {
  console.error("usage: node e2e/explore.mjs http://127.0.0.1:PORT --out DIR");
  process.exit(2);
}
const api = apiOf(url);
const TIME = '"pickup_datetime"';
const LONG = "SELECT count(*) FROM events a, events b, events c WHERE a.trip_distance + b.trip_distance + c.trip_distance > 0";

async function sql(statement) {
  const response = await fetch(new URL("/api/sql", url), { method: "POST", body: JSON.stringify({ sql: statement }) });
  const body = await response.json();
  if (!response.ok) throw new Error(`${statement}: ${body.error}`);
  return body.rows;
}

function equal(what, shown, true_) {
  if (JSON.stringify(shown) !== JSON.stringify(true_)) throw new Error(`${what}: the page says ${JSON.stringify(shown)}, SQL says ${JSON.stringify(true_)}`);
}

/** Waits until the page shows the answer to what its address asks. */
async function drawn(page, waited = "") {
  await until(`the page has counted ${waited}`, async () => (await page.getAttribute("[data-explore]", "data-explore")) === "drawn" && new URL(page.url()).pathname === "/explore");
}

const number = async (page, name) => Number(await page.getAttribute("[data-timeline]", name));

/** The condition that the address says. */
function spanOf(page) {
  const query = new URL(page.url()).searchParams;
  return `${TIME} >= TIMESTAMP '${query.get("from")}' AND ${TIME} < TIMESTAMP '${query.get("to")}'`;
}

async function counts(page, where) {
  await drawn(page);
  const [[all]] = await sql(`SELECT count(*) FROM events WHERE ${where}`);
  const [[unarchived]] = await sql(`SELECT count(*) FROM unarchived WHERE ${where}`);
  const [[archived]] = await sql(`SELECT count(*) FROM archive WHERE ${where}`);
  await until(`${all} rows where ${where}`, async () => (await number(page, "data-rows")) === all);
  equal("rows", await number(page, "data-rows"), all);
  equal("rows not archived", await number(page, "data-unarchived"), unarchived);
  equal("rows of both sides", unarchived + archived, all);
  return { all, unarchived, archived };
}

async function brushOverTheBorder(page) {
  const box = await (await page.waitForSelector("[data-timeline] svg")).boundingBox();
  const border = await page.$eval("[data-timeline] line.border", (line) => Number(line.getAttribute("x1")));
  const live = await page.$$eval("[data-timeline] rect.live", (bars) => bars.map((bar) => Number(bar.getAttribute("x"))));
  const from = box.x + border - 40;
  const to = box.x + (live[3] ?? live.at(-1)) + 1;
  await page.mouse.move(from, box.y + 80);
  await page.mouse.down();
  await page.mouse.move((from + to) / 2, box.y + 90, { steps: 4 });
  await page.mouse.move(to, box.y + 80, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/from=/);
  const seen = await counts(page, spanOf(page));
  if (seen.unarchived === 0 || seen.archived === 0) throw new Error(`the range is not over the border: ${JSON.stringify(seen)}`);
  return `${seen.archived} rows of the archive + ${seen.unarchived} of the live table = ${seen.all}`;
}

async function leader(page, board, index) {
  await page.locator(`[data-board="${board}"]`).scrollIntoViewIfNeeded();
  await until(`${board} is counted`, async () => (await page.getAttribute(`[data-board="${board}"]`, "data-state")) === "drawn");
  return page.locator(`[data-board="${board}"] [data-leader]`).nth(index);
}

async function crossFilter(page) {
  const where = spanOf(page);
  const first = await leader(page, "payment_type", 0);
  const value = await first.getAttribute("data-leader");
  equal("the first payment type", Number(await first.getAttribute("data-now")), (await sql(`SELECT count(*) FROM events WHERE ${where} AND payment_type = ${value}`))[0][0]);
  await first.click();
  await page.waitForURL(/in\.payment_type/);
  await counts(page, `${where} AND payment_type = ${value}`);
  const vendor = await leader(page, "vendor_id", 0);
  const other = await vendor.getAttribute("data-leader");
  const both = `${where} AND payment_type = ${value}`;
  await until("the other leaderboard follows", async () => Number(await (await leader(page, "vendor_id", 0)).getAttribute("data-now")) === (await sql(`SELECT count(*) FROM events WHERE ${both} AND vendor_id = ${other}`))[0][0]);
  await page.locator('[data-board="vendor_id"] .not').first().click();
  const all = `${both} AND (vendor_id <> ${other} OR vendor_id IS NULL)`;
  const { all: rows } = await counts(page, all);
  const [[sum, average]] = await sql(`SELECT CAST(sum(fare_amount) AS DOUBLE), avg(CAST(fare_amount AS DOUBLE)) FROM events WHERE ${all}`);
  const value_ = async () => Number(await page.getAttribute('[data-measure="fare_amount"]', "data-value"));
  const close = (one, two) => Math.abs(one - two) <= 1e-9 * Math.abs(two);
  await until(`the sum of the fares is ${sum}`, async () => close(await value_(), sum));
  await page.getByLabel("Numbers").selectOption("avg");
  await until(`the average fare is ${average}`, async () => close(await value_(), average));
  return `payment ${value}, not vendor ${other}: ${rows} rows, fares of ${sum}, ${average} each`;
}

/** Another visitor, by the same link. */
async function sameByLink(browser, page, shownBy) {
  const { page: other, context, faults } = await openPage(browser, page.url());
  await other.waitForSelector("[data-page]");
  await until("a link shows the same", async () => JSON.stringify(await shownBy(other)) === JSON.stringify(await shownBy(page)));
  await context.close();
  if (faults.length > 0) throw new Error(`by the link: ${faults.join(", ")}`);
}

const explored = async (page) => ({ rows: await number(page, "data-rows"), filters: await page.$$eval("[data-chip]", (chips) => chips.map((chip) => chip.textContent)), fare: await page.getAttribute('[data-measure="fare_amount"]', "data-value") });
const answered = async (page) => ({ rows: await page.getAttribute("[data-sql]", "data-rows"), state: await page.getAttribute("[data-sql]", "data-sql"), cells: await page.$$eval("[role=cell]", (cells) => cells.slice(0, 30).map((cell) => cell.textContent)) });

async function write(page, statement) {
  await page.locator(".cm-content").click();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(statement);
}

async function ask(page, statement, state = "answered") {
  await write(page, statement);
  await page.keyboard.press("Control+Enter");
  await until(`the statement is ${state}`, async () => (await page.getAttribute("[data-sql]", "data-sql")) === state && new URL(page.url()).searchParams.get("q") === statement);
}

async function cancel(page) {
  const before = await api("/api/queries");
  await ask(page, LONG, "running");
  await until("the server works on it", async () => (await api("/api/queries")).running.some((query) => query.sql === LONG));
  const start = Date.now();
  await page.getByRole("button", { name: /Cancel/ }).click();
  await until("the server has stopped working on it", async () => (await api("/api/queries")).running.length === 0);
  const after = await api("/api/queries");
  equal("cancelled and timed out queries", [after.ended.cancelled - before.ended.cancelled, after.ended.timed_out - before.ended.timed_out], [1, 0]);
  const text = await (await fetch(new URL("/metrics", url))).text();
  if (!/millstream_queries_running\{[^}]*\} 0\n/.test(text)) throw new Error("the metrics tell of a query that runs");
  return `stopped ${Date.now() - start} ms after the click`;
}

async function exported(page, format) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.click(`[data-export=${format}]`)]);
  await file.saveAs(join(options.out, `rows.${format}`));
}

async function askInSql(browser, page) {
  await page.goto(new URL("/sql", url).href);
  await page.waitForSelector(".cm-content");
  await ask(page, "SELECT fare_amuont FROM events", "error");
  if ((await page.textContent("[data-trouble]")).includes("line 1, column 8") === false) throw new Error(`no place in: ${await page.textContent("[data-trouble]")}`);
  await ask(page, "SELECT *\nFORM events", "error");
  const statement = `SELECT _file, _row, pickup_datetime, payment_type, fare_amount, tip_share, store_and_fwd_flag, _marks FROM events WHERE payment_type IS NULL OR payment_type > 1 ORDER BY _file, _row`;
  await ask(page, statement);
  await writeFile(join(options.out, "statement.sql"), statement);
  const [[rows]] = await sql(`SELECT count(*) FROM (${statement})`);
  equal("rows of the answer", Number(await page.getAttribute("[data-sql]", "data-rows")), Math.min(rows, 1000));
  await page.locator("[role=columnheader] button", { hasText: "fare_amount" }).click();
  await page.locator("[role=columnheader] button", { hasText: "fare_amount" }).click();
  const most = await page.locator("[role=row][aria-rowindex='2'] [role=cell]").nth(4).textContent();
  const [[top]] = await sql(`SELECT CAST(max(fare_amount) AS VARCHAR) FROM (${statement} LIMIT 1000)`);
  equal("the highest fare, sorted first", Number(most.replaceAll(",", "")), Number(top));
  for (const format of ["csv", "parquet"]) await exported(page, format);
  await sameByLink(browser, page, async (one) => ({ ...(await answered(one)), cells: [] }));
  await write(page, "SELECT fare_am");
  await page.waitForSelector(".cm-tooltip-autocomplete");
  await page.keyboard.press("Escape");
  return `${rows} rows asked for and exported`;
}

async function accessible(page, what) {
  await until("nothing is on its way", () => page.evaluate(() => document.querySelector(".old") === null));
  const findings = await axeFindings(page);
  if (findings.length > 0) throw new Error(`axe on ${what}:\n  ${findings.join("\n  ")}`);
}

async function main() {
  const browser = await launch();
  try {
    const { page, faults } = await openPage(browser, new URL("/explore", url).href);
    await page.waitForSelector("[data-timeline]");
    await counts(page, "true");
    await accessible(page, "explore");
    console.log(`brush: ${await brushOverTheBorder(page)}`);
    console.log(`filters: ${await crossFilter(page)}`);
    await accessible(page, "explore with filters");
    await sameByLink(browser, page, explored);
    await page.goBack();
    await page.goBack();
    await counts(page, spanOf(page));
    console.log(`sql: ${await askInSql(browser, page)}`);
    await accessible(page, "SQL");
    console.log(`cancel: ${await cancel(page)}`);
    // What was cancelled and what was wrong on purpose is told by the browser, too.
    const strange = faults.filter((fault) => !/Failed to load resource: the server responded with a status of 400/.test(fault));
    if (strange.length > 0) throw new Error(`the page did what it must not:\n  ${strange.join("\n  ")}`);
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(`explore check failed: ${error.message}`);
  process.exitCode = 1;
});
