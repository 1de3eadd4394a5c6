/** Runs a view or a query and gives its rows: as Arrow, or as JSON when a type in it cannot be read from Arrow here. */

import { ARROW_STREAM, type ApiClient } from "../api/client";
import type { QueryResult } from "../api/types";
import { resultFromJson, type Result } from "./result";

/** A request whose answer is rows. */
export interface Query {
  path: string;
  init: RequestInit;
}

export function viewQuery(name: string): Query {
  return { path: `/api/views/${encodeURIComponent(name)}/data`, init: {} };
}

/** Queries whose answer Arrow could not decode: asked as JSON from then on. */
const jsonOnly = new Set<string>();

export async function runQuery(api: ApiClient, query: Query): Promise<Result> {
  const key = query.path + String(query.init.body ?? "");
  if (!jsonOnly.has(key)) {
    const response = await api.send(query.path, ARROW_STREAM, query.init);
    if ((response.headers.get("content-type") ?? "").startsWith(ARROW_STREAM)) {
      const bytes = new Uint8Array(await response.arrayBuffer());
      const { resultFromArrow } = await import("./arrow");
      try {
        return resultFromArrow(bytes, response.headers.get("x-millstream-truncated") === "true");
      } catch {
        jsonOnly.add(key);
      }
    } else {
      return fromBody((await response.json()) as QueryResult);
    }
  }
  return fromBody(await api.json<QueryResult>(query.path, query.init));
}

function fromBody(body: QueryResult): Result {
  return resultFromJson(body.columns, body.rows, body.truncated);
}
