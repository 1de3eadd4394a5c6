// What is done about what went wrong.
//
//   node e2e/rejects.mjs redrive http://127.0.0.1:PORT PIPELINE_FILE RULE
//   node e2e/rejects.mjs change http://127.0.0.1:PORT PIPELINE_FILE RULE
//   node e2e/rejects.mjs retry http://127.0.0.1:PORT BROKEN_FILE WHOLE_FILE
//
// `redrive` opens a reject, changes its rule in the form, tries it, puts the line into the pipeline file, redrives, and sees the books agree, every
// number compared with SQL's. `change` only puts another line there. RULE checks a range and rejects, on a line of its own in PIPELINE_FILE.
// `retry` has BROKEN_FILE, which is quarantined, read again, before and after WHOLE_FILE has taken its place.

import { copyFile, readFile, rename, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";

import { launch, openPage, settled } from "./browser.mjs";
import { apiOf, until } from "./checks.mjs";
import { accessible, holds, rowsOf } from "./pages.mjs";

const [what, url, ...named] = process.argv.slice(2);
const api = apiOf(url);

async function counts() {
  const [[events]] = await rowsOf(url, "SELECT count(*) FROM events");
  const [[rejects]] = await rowsOf(url, "SELECT count(*) FROM rejects");
  return { events, rejects, ledger: (await api("/api/ledger")).total };
}

/** From the list to a reject, and from there to the form of the rule that it broke. */
async function openRule(page, rule) {
  await page.goto(new URL(`/rejects?rule=${rule}`, url).href);
  await settled(page);
  await page.locator("[data-reject] a").first().click();
  await page.waitForSelector("dialog[open]");
  await page.click(`dialog a.button:has-text("${rule}")`);
  await page.waitForSelector("[data-field=min]");
  holds("the form stands in the address", new URL(page.url()).searchParams.get("again") === rule);
}

const line = (page) => page.locator("[data-line]").first().innerText();
const shown = async (page, selector, name) => Number(await page.getAttribute(selector, name));

async function mistake(page, rule) {
  await page.fill("[data-field=min]", "a lot");
  holds("the line changes with the form", (await line(page)).includes('min = "a lot"'));
  await page.click("dialog button:has-text('Preview')");
  await page.waitForSelector("dialog [data-problem]");
  const text = await page.innerText("dialog [data-problem]");
  holds(`the mistake has its line and a caret: ${text}`, text.includes(`${rule} = `) && text.includes("^"));
  await accessible(page, "a mistake in a rule");
}

/** Without its lowest value the rule lets rows pass that were below it. */
async function tried(page, rule) {
  const [[hopeful]] = await rowsOf(url, `SELECT count(*) FROM rejects WHERE array_length(rules) = 1 AND array_has(rules, '${rule}')`);
  const [[all]] = await rowsOf(url, `SELECT count(*) FROM rejects WHERE array_has(rules, '${rule}')`);
  const before = await counts();
  await page.fill("[data-field=min]", "");
  await page.click("dialog button:has-text('Preview')");
  await page.waitForSelector("[data-preview]");
  const [rows, delivered] = [await shown(page, "[data-preview]", "data-rows"), await shown(page, "[data-preview]", "data-delivered")];
  holds(`the preview is of all ${all} rows of the rule, not ${rows}`, rows === all);
  holds(`some of the ${hopeful} rows that broke nothing else would pass, not ${delivered}`, delivered > 0 && delivered <= hopeful);
  await page.locator("[data-sample=passes] summary").first().click();
  holds("a row is shown before and after", (await page.locator("[data-sample=passes] tbody tr").count()) > 5);
  await accessible(page, "a preview");
  holds("nothing was published", JSON.stringify(await counts()) === JSON.stringify(before));
  return { before, delivered };
}

async function written(pipelineFile, rule, text) {
  const file = await readFile(pipelineFile, "utf8");
  const line = new RegExp(`^${rule}\\s*=.*$`, "m");
  holds("the rule is a line of the pipeline file", line.test(file));
  await writeFile(pipelineFile, file.replace(line, () => text));
}

async function redriven(page, { before, delivered: tried }) {
  await page.click("dialog button:has-text('Redrive …')");
  await page.waitForSelector("[data-redrive=asks]");
  const would = await shown(page, "[data-redrive=asks]", "data-delivered");
  holds(`the file says what was tried: ${tried}, not ${would}`, would === tried);
  await page.click("dialog button:has-text('Redrive now')");
  await page.waitForSelector("[data-redrive=done]", { timeout: 60_000 });
  const [delivered, duplicates] = [await shown(page, "[data-redrive=done]", "data-delivered"), await shown(page, "[data-redrive=done]", "data-duplicates")];
  holds(`what was told came: ${tried}, not ${delivered} and ${duplicates} repeats`, delivered + duplicates === tried && delivered > 0);
  await accessible(page, "what was redriven");
  await until(`${delivered} rows left the rejects for the events`, async () => {
    const now = await counts();
    const told = `${JSON.stringify(before)} became ${JSON.stringify(now)}`;
    if (now.events !== before.events + delivered || now.rejects !== before.rejects - tried) throw new Error(told);
    if (now.ledger.delivered !== before.ledger.delivered + delivered || now.ledger.rejected !== now.rejects) throw new Error(told);
    return now.ledger.rows === before.ledger.rows;
  }, 30_000);
  const { rejects } = await counts();
  await page.keyboard.press("Escape");
  await until("the page counts what is left", async () => (await shown(page, "[data-rejects]", "data-rejects")) === rejects);
  await page.goto(new URL("/flow", url).href);
  await until("the ledger balances", async () => (await page.getAttribute("[data-balanced]", "data-balanced")) === "true");
  return `${delivered} rows delivered, ${rejects} rejects left`;
}

async function redrive(page) {
  const [pipelineFile, rule] = named;
  await openRule(page, rule);
  await accessible(page, "a rule in a form");
  await mistake(page, rule);
  const looked = await tried(page, rule);
  await written(pipelineFile, rule, await line(page));
  return redriven(page, looked);
}

async function change(page) {
  const [pipelineFile, rule] = named;
  await openRule(page, rule);
  await accessible(page, "a rule in a form");
  const before = await line(page);
  holds(`the form begins with the line of the file: ${before}`, before.startsWith(`${rule} = `));
  await page.selectOption("[data-field=kind]", "compare");
  holds("a check wants its fields", (await page.innerText("dialog[open]")).includes("Choose the other column."));
  await page.selectOption("[data-field=kind]", "range");
  holds("another check, tried and left, changes nothing", (await line(page)) === before);
  await page.fill("[data-field=min]", "-12.5");
  await page.selectOption("[data-field=action]", "clamp");
  const after = await line(page);
  holds(`the line follows the form: ${after}`, after.includes("min = -12.5") && after.includes('action = "clamp"'));
  await accessible(page, "a changed rule");
  await written(pipelineFile, rule, after);
  await page.click("dialog button:has-text('Take the changes back')");
  holds("changes are taken back", (await line(page)) === before);
  return after;
}

async function retry(page) {
  const [brokenFile, wholeFile] = named;
  const name = (await api("/api/ledger")).files.find(({ file }) => file.endsWith(basename(brokenFile)))?.file;
  await page.goto(new URL(`/flow?file=${encodeURIComponent(name)}`, url).href);
  await page.click("dialog button:has-text('Read it again')");
  await page.waitForSelector("[data-retry=refused]");
  await accessible(page, "a file that is not taken");
  // Whole at once: nobody may find a half of it.
  const beside = `${dirname(brokenFile)}/.whole`;
  await copyFile(wholeFile, beside);
  await rename(beside, brokenFile);
  await page.click("dialog button:has-text('Read it again')");
  await page.waitForSelector("[data-retry=taken]");
  await until("the file is done", async () => (await api("/api/ledger")).files.find(({ file }) => file === name)?.state === "done", 60_000);
  await until("the page shows it", async () => (await page.locator("dialog[open]").innerText()).includes("balanced"));
  return name;
}

async function main() {
  const browser = await launch();
  try {
    const { page, faults } = await openPage(browser, new URL("/rejects", url).href);
    console.log(`${what}: ${await { redrive, change, retry }[what](page)}`);
    // The browser tells by itself of every answer of 400, here that to the mistake.
    const other = faults.filter((fault) => what !== "redrive" || !fault.includes("status of 400"));
    if (other.length > 0) throw new Error(`the page did what it must not:\n  ${other.join("\n  ")}`);
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(`rejects check failed: ${error.message}`);
  process.exitCode = 1;
});
