// Takes pictures of pages: light and dark, wide and on a phone.
//
//   node e2e/shots.mjs http://127.0.0.1:PORT DIR [ADDRESS …] [--only wide-light,phone-dark] [--full]
//
// An address is a path of the page, such as `/flow?stage=log`; without one, every page is taken.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { launch, openPage, settled } from "./browser.mjs";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { only: { type: "string" }, full: { type: "boolean", default: false }, scroll: { type: "string", default: "0" } } });
const [url, directory, ...addresses] = positionals;
const SHAPES = [
  { name: "wide-light", theme: "light", width: 1440, height: 900 },
  { name: "wide-dark", theme: "dark", width: 1440, height: 900 },
  { name: "phone-light", theme: "light", width: 390, height: 844 },
  { name: "phone-dark", theme: "dark", width: 390, height: 844 },
];
const PAGES = ["/flow", "/live", "/archive", "/rejects", "/views"];

const browser = await launch();
await mkdir(directory, { recursive: true });
for (const { name, ...shape } of SHAPES.filter((one) => values.only === undefined || values.only.split(",").includes(one.name))) {
  for (const address of addresses.length > 0 ? addresses : PAGES) {
    const { page, context, faults } = await openPage(browser, new URL(address, url).href, shape);
    await settled(page);
    await page.evaluate((top) => window.scrollTo(0, top), Number(values.scroll));
    const file = `${address.replaceAll(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "")}-${name}.png`;
    await page.screenshot({ path: join(directory, file), fullPage: values.full });
    if (faults.length > 0) console.error(`${file}: ${faults.join("; ")}`);
    await context.close();
  }
}
await browser.close();
