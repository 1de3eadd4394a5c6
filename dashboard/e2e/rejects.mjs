// What is done about what went wrong.
//
//   node e2e/rejects.mjs change http://127.0.0.1:PORT PIPELINE_FILE RULE
//   node e2e/rejects.mjs retry http://127.0.0.1:PORT BROKEN_FILE WHOLE_FILE
//
// `change` opens a reject, changes its rule in the form, and puts the line into the pipeline file. RULE checks a range and rejects, on a line of its
// own in PIPELINE_FILE. `retry` has BROKEN_FILE, which is quarantined, read again, before and after WHOLE_FILE has taken its place.

import { copyFile, readFile, rename, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";

import { launch, openPage, settled } from "./browser.mjs";
import { apiOf, until } from "./checks.mjs";
import { accessible, holds } from "./pages.mjs";

const [what, url, ...named] = process.argv.slice(2);
const api = apiOf(url);

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
async function written(pipelineFile, rule, text) {
  const file = await readFile(pipelineFile, "utf8");
  const line = new RegExp(`^${rule}\\s*=.*$`, "m");
  holds("the rule is a line of the pipeline file", line.test(file));
  await writeFile(pipelineFile, file.replace(line, () => text));
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
    console.log(`${what}: ${await (what === "change" ? change(page) : retry(page))}`);
    if (faults.length > 0) throw new Error(`the page did what it must not:\n  ${faults.join("\n  ")}`);
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(`rejects check failed: ${error.message}`);
  process.exitCode = 1;
});
