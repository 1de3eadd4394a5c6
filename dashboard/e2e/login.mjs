// Logs in to the page of a running program that has users, as people do: refused, in, out, and in again when a session has ended.
//
//   node e2e/login.mjs http://127.0.0.1:PORT PROGRAM PIPELINE_FILE [--shots DIR]
//
// The program has an operator `ada` and a viewer `bob`, both with the password PASSWORD. CHROMIUM names the browser's program.

import { spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { axeFindings } from "./axe.mjs";
import { launch, openPage, settled } from "./browser.mjs";
import { until } from "./checks.mjs";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { shots: { type: "string" } } });
const [url, program, pipeline] = positionals;
const PASSWORD = process.env.PASSWORD;
const OTHER_PASSWORD = "another long password";
const SHAPES = [
  { name: "wide-light", theme: "light", width: 1440, height: 900 },
  { name: "wide-dark", theme: "dark", width: 1440, height: 900 },
  { name: "phone-light", theme: "light", width: 390, height: 844 },
  { name: "phone-dark", theme: "dark", width: 390, height: 844 },
];

function holds(what, truth) {
  if (!truth) throw new Error(what);
}

async function shot(page, name) {
  if (values.shots === undefined) return;
  await mkdir(values.shots, { recursive: true });
  await page.screenshot({ path: join(values.shots, `${name}.png`) });
}

/** Faults that a refused login is meant to leave in the console. */
const unexpected = (faults) => faults.filter((fault) => !/status of (401|429)/.test(fault));

async function logIn(page, name, password) {
  await page.fill("dialog [name=username]", name);
  await page.fill("dialog [name=password]", password);
  await page.click("dialog [type=submit]");
}

const alert = (page) => page.innerText("dialog [role=alert]");

async function looks(browser) {
  for (const { name, ...shape } of SHAPES) {
    const { page, context, faults } = await openPage(browser, new URL("/flow", url).href, shape);
    await page.waitForSelector("dialog[data-login=password]");
    holds("nothing of the page is there before", (await page.locator("nav").count()) === 0);
    const found = await axeFindings(page);
    holds(`axe finds on ${name}: ${found.join("; ")}`, found.length === 0);
    holds("the page is as wide as the screen", await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
    holds(`faults on ${name}: ${faults.join("; ")}`, faults.length === 0);
    await shot(page, `login-${name}`);
    await context.close();
  }
  return `${SHAPES.length} shapes, axe finds nothing serious`;
}

async function whole(browser) {
  const { page, context, faults } = await openPage(browser, new URL("/sql?q=SELECT+1", url).href);
  await page.waitForSelector("dialog");
  await logIn(page, "ada", "not the password");
  await until("a wrong password is told", async () => (await alert(page)) === "Name or password is wrong.");
  await shot(page, "login-wrong");
  await logIn(page, "ada", PASSWORD);
  await page.waitForSelector("[data-page=sql]");
  holds("the address is kept", page.url().endsWith("/sql?q=SELECT+1"));
  holds("name and role are shown", (await page.innerText(".who[data-role=operator]")).includes("ada"));
  await until("the stream is open", async () => (await page.getAttribute("[data-connection]", "data-connection")) === "live");
  await page.reload();
  await settled(page);
  holds("a reload asks for nothing", (await page.locator("dialog").count()) === 0);
  const cookies = await context.cookies();
  holds(`one cookie, kept from scripts: ${JSON.stringify(cookies)}`, cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === "Strict");
  await shot(page, "logged-in");
  await page.click(".who button");
  await page.waitForSelector("dialog");
  holds("nothing is left of the page", (await page.locator("nav").count()) === 0);
  holds("the cookie is gone", (await context.cookies()).length === 0);
  holds(`faults: ${faults.join("; ")}`, unexpected(faults).length === 0);
  await context.close();
  return "refused, in, reloaded, out";
}

async function ended(browser) {
  const { page, context } = await openPage(browser, new URL("/live", url).href, { width: 390, height: 844 });
  await page.waitForSelector("dialog");
  await logIn(page, "bob", PASSWORD);
  await page.waitForSelector("[data-page=live]");
  await page.click("nav button[aria-expanded]");
  holds("a phone shows who one is", (await page.innerText(".more .who[data-role=viewer]")).includes("bob"));
  await shot(page, "logged-in-phone");
  const changed = spawnSync(program, ["user", "password", "bob", "--password-stdin", pipeline], { input: OTHER_PASSWORD });
  holds(`the password is changed: ${changed.stderr}`, changed.status === 0);
  await until("the page asks again", async () => (await page.innerText("dialog h1")) === "Your session has ended");
  holds("what was open is still there", new URL(page.url()).pathname === "/live" && (await page.locator("[data-page=live]").count()) === 1);
  await shot(page, "session-ended-phone");
  await logIn(page, "bob", OTHER_PASSWORD);
  await until("the page goes on", async () => (await page.locator("dialog").count()) === 0 && (await page.getAttribute("[data-connection]", "data-connection")) === "live");
  await context.close();
  return "asked again, and went on";
}

async function byToken(browser) {
  const made = spawnSync(program, ["user", "token", "bob", "--label", "page", pipeline], { encoding: "utf8" });
  const { page, context } = await openPage(browser, new URL("/flow", url).href);
  await page.click("dialog .turn");
  await page.fill("dialog [name=token]", "wrong");
  await page.click("dialog [type=submit]");
  await until("a wrong token is told", async () => (await alert(page)).includes("refused that token"));
  await page.fill("dialog [name=token]", made.stdout.trim());
  await page.click("dialog [type=submit]");
  await page.waitForSelector("[data-stage=archive]");
  holds("a token is its user's", (await page.innerText(".who[data-role=viewer]")).includes("bob"));
  await context.close();
  return "wrong, and right";
}

/** What changes something is offered to operators, and viewers are told why not. */
async function roles(browser) {
  for (const [name, password, reason] of [["ada", PASSWORD, ""], ["bob", OTHER_PASSWORD, "Operators may do this; you are a viewer."]]) {
    const { page, context } = await openPage(browser, new URL("/flow?stage=files", url).href);
    await page.waitForSelector("dialog");
    await logIn(page, name, password);
    const act = page.locator(".retry .act").first();
    await act.waitFor();
    holds(`${name} may press the button or not`, (await act.locator("button").isDisabled()) === (reason !== ""));
    holds(`${name} is told why not`, (await act.innerText()).includes(reason));
    await shot(page, `files-${name}`);
    await page.goto(new URL("/rejects", url).href);
    await settled(page);
    holds(`the way to redrive all is there for ${name} or not`, (await page.locator("a.again").count()) === (reason === "" ? 1 : 0));
    await page.goto(new URL("/rejects?again=fare", url).href);
    for (const label of ["Preview", "Redrive …"]) {
      const rejects = page.locator("dialog .act", { hasText: label });
      await rejects.waitFor();
      holds(`${name} may press "${label}" or not`, (await rejects.locator("button").isDisabled()) === (reason !== ""));
      holds(`${name} is told why not`, (await rejects.innerText()).includes(reason));
    }
    await shot(page, `rule-${name}`);
    await context.close();
  }
  return "an operator may, a viewer is told why not";
}

/** Last, for nobody can log in from here for a while after it. */
async function tooOften(browser) {
  const { page, context } = await openPage(browser, new URL("/flow", url).href);
  await page.waitForSelector("dialog");
  for (let tries = 0; tries < 12 && !(await alert(page)).includes("Try again in"); tries += 1) {
    await logIn(page, "mallory", `guess ${tries}`);
    await until("there is an answer", async () => (await page.innerText("dialog [type=submit]")) === "Log in" && (await alert(page)) !== "");
  }
  holds(`the pause is told: ${await alert(page)}`, /Too many logins failed\. Try again in \d+/.test(await alert(page)));
  holds("the button waits", await page.isDisabled("dialog [type=submit]"));
  await shot(page, "login-too-often");
  await until("the pause ends", async () => !(await page.isDisabled("dialog [type=submit]")));
  await context.close();
  return "told with seconds, and over";
}

async function main() {
  const browser = await launch();
  try {
    for (const check of [looks, whole, ended, byToken, roles, tooOften]) console.log(`${check.name}: ${await check(browser)}`);
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(`login check failed: ${error.message}`);
  process.exitCode = 1;
});
