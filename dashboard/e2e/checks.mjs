// What a true page shows, each as a condition with a deadline.

const DEADLINE_MS = 20_000;
const STEP_MS = 100;

/** Waits until `holds` is true; what it threw last, or `what`, is the message when it never is. */
export async function until(what, holds, deadlineMs = DEADLINE_MS) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await Promise.resolve().then(holds).catch((error) => error);
    if (answer === true) return;
    if (Date.now() >= end) throw new Error(`not within ${deadlineMs / 1000} s: ${what}${answer instanceof Error ? ` (${answer.message})` : ""}`);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

/** Gives JSON of the program's API. */
export function apiOf(url, token) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return async (path) => {
    const response = await fetch(new URL(path, url), { headers });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response.json();
  };
}

/** What each card must show, from the status. */
const COUNTS = {
  files: (status) => status.source.rows_read,
  clean: (status) => status.clean.clean,
  rejects: (status) => status.clean.rejected,
  log: (status) => status.stream.partitions.reduce((sum, partition) => sum + partition.end_offset, 0),
  receive: (status) => status.receive.rows,
  table: (status) => status.table.rows,
  archive: (status) => status.archive.rows,
};

async function cardValues(page) {
  return Object.fromEntries(await page.$$eval("[data-stage]", (cards) => cards.map((card) => [card.dataset.stage, Number(card.dataset.value)])));
}

async function cardTexts(page) {
  return Object.fromEntries(await page.$$eval("[data-stage]", (cards) => cards.map((card) => [card.dataset.stage, card.querySelector(".value")?.textContent ?? ""])));
}

/** Each card's count, seen before and after a status was asked for, has that status's count between them. */
export async function stageCounts(page, api) {
  let before = await cardValues(page);
  const open = new Map(Object.entries(COUNTS));
  const seen = {};
  await until("each card shows what /api/status says", async () => {
    const status = await api("/api/status");
    const missing = [];
    // The page gets the same status a moment later.
    await until("the cards caught up", async () => {
      const after = await cardValues(page);
      missing.length = 0;
      for (const [stage, count] of open) {
        const real = count(status);
        const fits = Math.min(before[stage], after[stage]) <= real && real <= Math.max(before[stage], after[stage]);
        if (fits) {
          seen[stage] = after[stage];
          open.delete(stage);
        } else missing.push(`${stage} shows ${after[stage]}, the status says ${real}`);
      }
      return missing.length === 0;
    }, 3000).catch(() => undefined);
    before = await cardValues(page);
    if (missing.length > 0) throw new Error(missing.join("; "));
    return true;
  });
  const [values, texts] = [await cardValues(page), await cardTexts(page)];
  for (const stage of Object.keys(COUNTS)) {
    if (!/^[0-9][0-9,]*$/.test(texts[stage])) throw new Error(`the card \`${stage}\` shows \`${texts[stage]}\`, which is not a count (${values[stage]})`);
  }
  return Object.entries(seen).map(([stage, value]) => `${stage} ${value.toLocaleString("en-US")}`).join(", ");
}

export async function newestRows(page) {
  let shown = 0;
  await until("the newest rows show", async () => {
    shown = await page.locator("#rows tbody tr").count();
    return shown > 0;
  });
  const cells = await page.locator("#rows tbody tr").first().locator("td").allTextContents();
  if (cells.every((cell) => cell === "–" || cell === "")) throw new Error("the newest row has no value in any column");
  const heads = await page.locator("#rows thead th").allTextContents();
  const firstOwn = heads.findIndex((head) => head.startsWith("_"));
  if (firstOwn >= 0 && heads.slice(firstOwn).some((head) => !head.startsWith("_"))) throw new Error(`columns that begin with \`_\` are not last: ${heads.join(", ")}`);
  return `${shown} rows, ${heads.length} columns`;
}

/** Every view of the API is on the page, drawn, with rows; charts have put ink on their canvas. */
export async function drawnViews(page, api) {
  const views = await api("/api/views");
  const names = views.map((view) => view.name);
  if (names.length === 0) throw new Error("/api/views names no view");
  const told = [];
  for (const name of names) {
    const card = page.locator(`[data-view="${name}"]`);
    await until(`view \`${name}\` is on the page`, async () => (await card.count()) === 1);
    await card.scrollIntoViewIfNeeded();
    await until(`view \`${name}\` is drawn with data`, async () => {
      const state = await card.getAttribute("data-state");
      if (state !== "drawn") throw new Error(`it is \`${state}\`: ${(await card.innerText()).replaceAll("\n", " · ")}`);
      return Number(await card.getAttribute("data-rows")) > 0 && inked(card);
    });
    told.push(`${name} (${await card.getAttribute("data-rows")})`);
  }
  return told.join(", ");
}

/** Whether a card without a canvas shows text, and one with a canvas has something drawn on it. */
async function inked(card) {
  const canvas = card.locator("canvas").first();
  if ((await canvas.count()) === 0) return (await card.locator("td, .number b, [role=img]").count()) > 0 && (await card.locator("[role=img]").count()) === 0;
  return canvas.evaluate((element) => {
    const pixels = element.getContext("2d")?.getImageData(0, 0, element.width, element.height).data ?? [];
    let drawn = 0;
    for (let at = 3; at < pixels.length; at += 4) drawn += pixels[at] > 0 ? 1 : 0;
    return drawn > 200;
  });
}

/** Once all is done the ledger must balance, on the page too. */
export async function balance(page, api, waitSeconds) {
  const settled = async () => ["done", "waiting"].includes((await api("/api/status")).state);
  if (waitSeconds > 0) await until("the pipeline is done or waits for files", settled, waitSeconds * 1000);
  if (!(await settled())) return `not looked at, the state is \`${(await api("/api/status")).state}\``;
  await until("the ledger shows balanced", async () => {
    if ((await page.getAttribute("[data-balanced]", "data-balanced")) === "true") return true;
    throw new Error((await page.innerText("[data-balanced]")).replaceAll("\n", " · "));
  });
  return "balanced";
}
