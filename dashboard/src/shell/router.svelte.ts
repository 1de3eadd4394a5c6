/** The address bar as state: pages read what they show from it and write what they change to it. */

import { changed, formatRoute, parseRoute, type Changes, type Route } from "./route";

export class Router {
  route = $state.raw<Route>(parseRoute(location.pathname, location.search));

  get page(): string {
    return this.route.page;
  }

  /** A parameter of the address; null when it has none of that name. */
  get(name: string): string | null {
    return this.route.query[name] ?? null;
  }

  /** The address of a page, for links. */
  href(page: string, query: Changes = {}): string {
    return formatRoute({ page, query: changed({}, query) });
  }

  /** The address of this page with changes, for links. */
  here(changes: Changes): string {
    return formatRoute({ page: this.page, query: changed(this.route.query, changes) });
  }

  /** Opens a page; "back" leads to where one was. */
  go(page: string, query: Changes = {}): void {
    this.#open({ page, query: changed({}, query) }, "push");
  }

  /** Changes what the page shows. `push`: "back" undoes it; for what is opened, not for what is typed. */
  set(changes: Changes, how: "push" | "replace" = "replace"): void {
    this.#open({ page: this.page, query: changed(this.route.query, changes) }, how);
  }

  /** Follows the browser's buttons and clicks on links of the page; the function that it gives back ends it. */
  start(): () => void {
    const back = (): void => {
      this.route = parseRoute(location.pathname, location.search);
    };
    const click = (event: MouseEvent): void => {
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      if (link === null || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      if (link.origin !== location.origin || link.target !== "" || link.hasAttribute("download") || link.pathname.startsWith("/api/") || link.getAttribute("href")?.startsWith("#") === true) return;
      event.preventDefault();
      this.#open(parseRoute(link.pathname, link.search), "push");
    };
    window.addEventListener("popstate", back);
    document.addEventListener("click", click);
    return () => {
      window.removeEventListener("popstate", back);
      document.removeEventListener("click", click);
    };
  }

  #open(route: Route, how: "push" | "replace"): void {
    const address = formatRoute(route);
    if (address === formatRoute(this.route)) return;
    const other = route.page !== this.route.page;
    if (how === "push") history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    this.route = route;
    if (other) window.scrollTo(0, 0);
  }
}
