/** Whether who looks may change things: asked once for each page that can. */

import { ApiError, type ApiClient } from "../api/client";

/** Body of `/api/me`. */
export interface Me {
  name: string | null;
  role: "viewer" | "operator";
  login: "none" | "token" | "password";
}

/** Why somebody may not change things; null who may, and who is not known: the program decides in any case. */
export function reasonOf(me: Me | null): string | null {
  if (me?.role !== "viewer") return null;
  return `${me.name ?? "You"} may look, not change: ask an operator`;
}

export class Operator {
  /** Null while one may. */
  reason = $state.raw<string | null>(null);

  constructor(api: ApiClient) {
    void this.#ask(api);
  }

  async #ask(api: ApiClient): Promise<void> {
    try {
      this.reason = reasonOf(await api.json<Me>("/api/me"));
    } catch (error) {
      // A program without logins has no such answer; whatever else it is, a button will tell.
      if (!(error instanceof ApiError)) throw error;
    }
  }
}
