/**
 * The pages of the product, in the order of the navigation. A new page is one entry here and one component in a folder of its own;
 * it is loaded when it is first opened. How to add one: README.md.
 */

import type { Component } from "svelte";

import type { Dashboard } from "../state/dashboard.svelte";
import type { IconName } from "../ui/icons";
import type { Router } from "./router.svelte";

/** What every page gets. */
export interface PageProps {
  /** All that the program told, kept up to date by the event stream. */
  dashboard: Dashboard;
  /** What the address says: whatever a link should bring back belongs there. */
  router: Router;
}

export interface PageEntry {
  /** Its address, `/id`. */
  id: string;
  title: string;
  /** One line under the title. */
  about: string;
  /** `g` and this letter open it. */
  key: string;
  icon: IconName;
  /** Where it stands in the navigation; without a place it is only linked to. */
  group: "watch" | "ask" | null;
  /** Whether it has a place of its own on a phone's bar; there is room for four. */
  onPhone: boolean;
  load: () => Promise<{ default: Component<PageProps> }>;
}

export const PAGES: readonly PageEntry[] = [
  { id: "flow", title: "Flow", about: "From source files to the archive", key: "f", icon: "flow", group: "watch", onPhone: true, load: () => import("../flow/FlowPage.svelte") },
  { id: "live", title: "Live", about: "What comes in now", key: "l", icon: "live", group: "watch", onPhone: true, load: () => import("../live/LivePage.svelte") },
  { id: "archive", title: "Archive", about: "The Delta Lake table and its versions", key: "a", icon: "archive", group: "watch", onPhone: true, load: () => import("../archive/ArchivePage.svelte") },
  { id: "rejects", title: "Rejects", about: "Rows that broke a rule, and why", key: "r", icon: "rejects", group: "watch", onPhone: true, load: () => import("../rejects/RejectsPage.svelte") },
  { id: "views", title: "Views", about: "The pipeline's own charts, each row once", key: "v", icon: "views", group: "ask", onPhone: false, load: () => import("../views/ViewsPage.svelte") },
];

export function pageOf(id: string): PageEntry | null {
  return PAGES.find((page) => page.id === id) ?? null;
}

/** The pages of the navigation, in its order: the digit keys count them. */
export const NAVIGATION: readonly PageEntry[] = PAGES.filter((page) => page.group !== null);
