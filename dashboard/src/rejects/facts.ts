/** All that the page of rejects asks, at once. */

import type { ApiClient } from "../api/client";
import { runQuery } from "../views/query";
import { numberOf } from "../views/result";
import { sqlQuery } from "../views/sql";
import { byFile, byRule, byTime, newest, SPAN, stepFor, type RejectFilter } from "./query";

export const NEWEST = 100;
const LISTED = 200;

export interface RejectFacts {
  rules: [string, number][];
  files: [string, number][];
  /** Milliseconds since 1970, and rows. */
  times: [number, number][];
  stepSeconds: number;
  rows: readonly unknown[][];
}

export class RejectQueries {
  readonly #api: ApiClient;

  constructor(api: ApiClient) {
    this.#api = api;
  }

  async all(filter: RejectFilter): Promise<RejectFacts> {
    const span = await this.#rows(SPAN);
    const first = numberOf(span[0]?.[0]) ?? 0;
    const last = numberOf(span[0]?.[1]) ?? 0;
    const stepSeconds = stepFor(last - first);
    const [rules, files, times, rows] = await Promise.all([
      this.#rows(byRule(filter)),
      this.#rows(byFile(filter)),
      this.#rows(byTime(filter, stepSeconds)),
      this.#rows(newest(filter, NEWEST)),
    ]);
    const counted = (list: readonly unknown[][]): [string, number][] => list.map(([name, count]) => [String(name), numberOf(count) ?? 0]);
    return { rules: counted(rules), files: counted(files), times: times.map(([at, count]) => [numberOf(at) ?? 0, numberOf(count) ?? 0]), stepSeconds, rows };
  }

  async #rows(sql: string): Promise<readonly unknown[][]> {
    return (await runQuery(this.#api, sqlQuery(sql, LISTED))).rows;
  }
}
