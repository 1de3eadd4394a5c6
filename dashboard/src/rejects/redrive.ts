/** Rejected rows, cleaned again: what the program answers, and how it is told. Pure, but for the two requests. */

import type { ApiClient } from "../api/client";
import { plural } from "../format/format";
import { sameName } from "./reject";

/** In the address: rows of any rule. No rule has this name, for none of the program's has a colon in it. */
export const ALL = ":all";

/** Body of `/api/redrive`. */
export interface Redriven {
  rows: number;
  delivered: number;
  duplicates: number;
  filtered: number;
  rejected: number;
  files: { file: string; rows: number; delivered: number; rejected: number; refused: string | null }[];
}

/** Body of `/api/redrive/preview`. */
export interface Preview extends Redriven {
  /** Rows that were cleaned again for it. Repeats are found when rows are published: here they count as delivered. */
  looked_at: number;
  /** Whether there are more. */
  truncated: boolean;
  by_rule: { rule: string; before: number; after: number }[];
  sample: Sample[];
}

export interface Sample {
  file: string;
  row: number;
  original: Record<string, unknown>;
  /** Null where the row would not be delivered. */
  clean: Record<string, unknown> | null;
  reasons: string[];
}

/** Which rows: null is all of them. */
export interface Which {
  files: string[] | null;
  rules: string[] | null;
}

function post<Answer>(api: ApiClient, path: string, body: object, signal?: AbortSignal): Promise<Answer> {
  return api.json<Answer>(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), ...(signal === undefined ? {} : { signal }) });
}

/** What would become of the rows; `toml`: with these lines in place of those of the pipeline file. Publishes nothing. */
export function preview(api: ApiClient, toml: string | null, which: Which, signal: AbortSignal): Promise<Preview> {
  return post(api, "/api/redrive/preview", { toml, ...which }, signal);
}

/** Cleans the rows with the pipeline file as it stands, and publishes those that pass. */
export function redrive(api: ApiClient, which: Which): Promise<Redriven> {
  return post(api, "/api/redrive", which);
}

/** Values of a row side by side: what the source had, and what would be delivered under which name. */
export function pairs(sample: Sample): { name: string; original: unknown; clean: unknown }[] {
  const original = Object.entries(sample.original);
  const clean = Object.entries(sample.clean ?? {}).filter(([name]) => !name.startsWith("_"));
  const taken = new Set<string>();
  const matched = clean.map(([name, value]) => {
    const source = original.find(([of]) => !taken.has(of) && sameName(of, name));
    if (source !== undefined) taken.add(source[0]);
    return { name, original: source?.[1], clean: value };
  });
  return [...matched, ...original.filter(([name]) => !taken.has(name)).map(([name, value]) => ({ name, original: value, clean: undefined }))];
}

/** What else became of rows, in words: `4 rows are duplicates, 30 rows stay rejected`. */
export function othersOf({ duplicates, filtered, rejected }: Redriven, how: { would: boolean }): string[] {
  const [stay, are] = how.would ? ["would stay", "would be"] : ["stay", "are"];
  const told: [number, string][] = [
    [rejected, `${stay} rejected`],
    [duplicates, `${are} duplicates of delivered rows`],
    [filtered, `${are} left out by the filter`],
  ];
  return told.filter(([rows]) => rows > 0).map(([rows, words]) => `${plural(rows, "row")} ${words}`);
}
