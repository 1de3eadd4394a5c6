/** Who looks at the page, and what they may do. The server decides; this only knows what it said. */

import { ApiError, type ApiClient } from "../api/client";
import { forgetToken, writeToken } from "../api/token";
import type { Me } from "../api/types";
import { refusalOf, type Refusal } from "./refusal";

export class Session {
  /** None before the server was asked, or could be. */
  me = $state.raw<Me | null>(null);
  /**
   * `asking` before the first answer; `in`: the page is shown; `out`: somebody has to log in first; `ended`: they were in, and what they did is still there.
   */
  door = $state.raw<"asking" | "in" | "out" | "ended">("asking");
  refusal = $state.raw<Refusal | null>(null);

  /** Whether what changes something is offered. */
  readonly mayChange = $derived(this.me === null || this.me.role === "operator");
  /** Why it is not, for the button that is disabled. */
  readonly whyNot = $derived(this.mayChange ? null : "Operators may do this; you are a viewer.");

  readonly #api: ApiClient;
  readonly #token: () => string | null;
  readonly #entered: () => void;
  #asking: Promise<void> | null = null;
  #wasIn = false;

  /** `entered` is told whenever somebody has come in, not before. */
  constructor(api: ApiClient, token: () => string | null, entered: () => void) {
    this.#api = api;
    this.#token = token;
    this.#entered = entered;
  }

  /** Asks the server who it takes us for; when several ask at once, once. */
  ask(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async logIn(name: string, password: string): Promise<void> {
    forgetToken();
    try {
      const body = JSON.stringify({ name, password });
      this.me = await this.#api.json<Me>("/api/login", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    } catch (error) {
      this.refusal = refusalOf(error, Date.now());
      return;
    }
    this.#enter();
  }

  async useToken(token: string): Promise<void> {
    // What is under way asks without it.
    await this.#asking;
    writeToken(token);
    await this.ask();
    if (this.door === "in") this.#enter();
  }

  /** The page begins anew, so that nothing is left of what was seen. */
  async logOut(): Promise<void> {
    forgetToken();
    await this.#api.send("/api/logout", "*/*", { method: "POST", headers: { "Content-Type": "application/json" } }).catch(() => undefined);
    location.reload();
  }

  #enter(): void {
    this.refusal = null;
    this.door = "in";
    this.#wasIn = true;
    this.#entered();
  }

  async #ask(): Promise<void> {
    const shown = this.#token();
    try {
      this.me = await this.#api.json<Me>("/api/me");
    } catch (error) {
      // A server that is away or starts is told of by the connection.
      if (!(error instanceof ApiError)) throw error;
      if (this.door === "asking") this.door = "in";
      return;
    }
    if (this.me.role !== null) {
      this.door = "in";
      this.#wasIn = true;
      return;
    }
    this.door = this.#wasIn ? "ended" : "out";
    if (shown !== null) {
      forgetToken();
      this.refusal = { text: "The server refused that token.", until: null };
    }
  }
}
