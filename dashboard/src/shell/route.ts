/** What the address says: a page and what of it is shown. Pure, so that a link can be tested without a browser. */

export interface Route {
  /** First part of the path; the first page when it is empty. */
  page: string;
  /** What the page shows, by name: a filter, an open drawer, a version. */
  query: Readonly<Record<string, string>>;
}

export const FIRST_PAGE = "flow";

export function parseRoute(path: string, search: string): Route {
  const page = path.split("/").find((part) => part !== "") ?? FIRST_PAGE;
  return { page: safeDecode(page), query: Object.fromEntries(new URLSearchParams(search)) };
}

/** The address of a route: parameters in the order of their names, so that the same thing has one address. */
export function formatRoute({ page, query }: Route): string {
  const names = Object.keys(query).sort();
  const search = new URLSearchParams(names.map((name) => [name, query[name] ?? ""])).toString();
  return `/${encodeURIComponent(page)}${search === "" ? "" : `?${search}`}`;
}

export type Changes = Record<string, string | number | null | undefined>;

/** The query with changes: what is null, undefined or empty leaves. */
export function changed(query: Route["query"], changes: Changes): Record<string, string> {
  const next: Record<string, string> = { ...query };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") Reflect.deleteProperty(next, name);
    else next[name] = String(value);
  }
  return next;
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
