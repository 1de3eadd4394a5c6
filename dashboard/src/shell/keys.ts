/** What a key does: pure. `g` and a page's letter open it, a digit opens the n-th, `/` goes to the filter, `?` shows this. */

import type { PageEntry } from "./pages";

export type KeyAction = { kind: "open"; page: string } | { kind: "filter" } | { kind: "help" } | { kind: "theme" } | { kind: "none" };

/** Longest pause between `g` and the letter. */
export const CHORD_MS = 1500;

const NONE: KeyAction = { kind: "none" };

export class Keys {
  readonly #pages: readonly Pick<PageEntry, "id" | "key">[];
  #chordAt: number | null = null;

  constructor(pages: readonly Pick<PageEntry, "id" | "key">[]) {
    this.#pages = pages;
  }

  press(key: string, now: number): KeyAction {
    const inChord = this.#chordAt !== null && now - this.#chordAt <= CHORD_MS;
    this.#chordAt = null;
    if (inChord) {
      const page = this.#pages.find((candidate) => candidate.key === key.toLowerCase());
      return page === undefined ? NONE : { kind: "open", page: page.id };
    }
    if (key === "g") {
      this.#chordAt = now;
      return NONE;
    }
    if (key === "/") return { kind: "filter" };
    if (key === "?") return { kind: "help" };
    if (key === "t") return { kind: "theme" };
    const page = /^[1-9]$/.test(key) ? this.#pages[Number(key) - 1] : undefined;
    return page === undefined ? NONE : { kind: "open", page: page.id };
  }
}

/** Whether a key is meant for what has the focus: a field that is typed into, or an editor. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}
