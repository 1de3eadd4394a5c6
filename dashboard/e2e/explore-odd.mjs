// Explores a pipeline with odd columns and without event times, while rows come: names of every kind are counted right, what is nested is left
// out, and the page follows the data by itself.
//
//   node e2e/explore-odd.mjs http://127.0.0.1:PORT FILE FOLDER
//
// FILE is moved into FOLDER, where the program finds it, once the page shows what was there before.

import { rename } from "node:fs/promises";
import { basename, join } from "node:path";

import { launch, openPage } from "./browser.mjs";
import { until } from "./checks.mjs";

const [url, file, folder] = process.argv.slice(2);

async function sql(statement) {
  const response = await fetch(new URL("/api/sql", url), { method: "POST", body: JSON.stringify({ sql: statement }) });
  const body = await response.json();
  if (!response.ok) throw new Error(`${statement}: ${body.error}`);
  return body.rows;
}

const DIMENSION = 'Größe"x"';
const quoted = '"Größe""x"""';

async function main() {
  const browser = await launch();
  try {
    const { page, faults } = await openPage(browser, new URL("/explore", url).href);
    await page.waitForSelector("[data-timeline]");
    const rows = async () => Number(await page.getAttribute("[data-timeline]", "data-rows"));
    const [[before]] = await sql("SELECT count(*) FROM events");
    await until(`${before} rows are counted`, async () => (await rows()) === before);
    await page.waitForSelector("[data-board]");
    const boards = await page.$$eval("[data-board]", (found) => found.map((board) => board.dataset.board));
    if (JSON.stringify(boards) !== JSON.stringify([DIMENSION, "it's", "_file"])) throw new Error(`dimensions: ${JSON.stringify(boards)}`);
    const measures = await page.$$eval("[data-measure]", (found) => found.map((measure) => measure.dataset.measure));
    if (JSON.stringify(measures) !== JSON.stringify(["rows", "Total--amount"])) throw new Error(`measures: ${JSON.stringify(measures)}`);

    await page.locator("[data-board]").first().locator("[data-leader=\"o'clock, \\\\\"]").click();
    const [[filtered]] = await sql(`SELECT count(*) FROM events WHERE ${quoted} = 'o''clock, \\'`);
    await until(`${filtered} rows of one value`, async () => (await rows()) === filtered);
    await page.locator("[data-board]").first().locator("[data-leader='\\\\N']").click();
    const [[both]] = await sql(`SELECT count(*) FROM events WHERE ${quoted} = 'o''clock, \\' OR ${quoted} IS NULL`);
    await until(`${both} rows with those of no value`, async () => (await rows()) === both);
    const address = page.url();

    await rename(file, join(folder, basename(file)));
    await until("the page follows", async () => (await rows()) === 2 * both, 40_000);
    if (page.url() !== address) throw new Error("the address changed by itself");
    const [[sum]] = await sql(`SELECT sum("Total--amount") FROM events WHERE ${quoted} = 'o''clock, \\' OR ${quoted} IS NULL`);
    await until(`the sum is ${sum}`, async () => Number(await page.getAttribute('[data-measure="Total--amount"]', "data-value")) === sum);
    if (faults.length > 0) throw new Error(`the page did what it must not:\n  ${faults.join("\n  ")}`);
    console.log(`${before} rows, then twice as many; ${both} of two values`);
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(`explore check failed: ${error.message}`);
  process.exitCode = 1;
});
