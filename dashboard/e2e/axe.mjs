// What axe-core finds on a page: serious and critical findings, one line each.

import { readFile } from "node:fs/promises";

const source = readFile(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

export async function axeFindings(page) {
  await page.evaluate(await source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, help, nodes }) => nodes.slice(0, 4).map((node) => `${id}: ${help} — ${node.target.join(" ")} ${node.failureSummary.split("\n").slice(1).join(";")}`));
}
