/** Requests to the program, with the token when there is one (a session is a cookie, which the browser sends), and its errors as sentences. */

/** A place in SQL; lines and columns count from 1. */
export interface SqlPlace {
  line: number;
  column: number;
  end_line: number | null;
  end_column: number | null;
}

/** The program answered with an error, or did not answer. */
export class ApiError extends Error {
  /** 0 when no answer came. */
  readonly status: number;
  /** Where the SQL is wrong, if that is what is wrong and the program knows. */
  readonly at: SqlPlace | null;
  /** When it may be tried again, if the program said so. */
  readonly retryAfterSeconds: number | null;

  constructor(message: string, status: number, at: SqlPlace | null = null, retryAfterSeconds: number | null = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.at = at;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export const ARROW_STREAM = "application/vnd.apache.arrow.stream";

export class ApiClient {
  readonly #fetch: typeof fetch;
  readonly #token: () => string | null;
  readonly #unauthorized: () => void;

  /** `unauthorized` is told when the program wants a login that it does not see any more. */
  constructor(fetchFrom: typeof fetch, token: () => string | null, unauthorized: () => void) {
    this.#fetch = fetchFrom;
    this.#token = token;
    this.#unauthorized = unauthorized;
  }

  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this.send(path, "application/json", init);
    return (await response.json()) as T;
  }

  /** Sends and turns every answer that is not a success into an `ApiError`. */
  async send(path: string, accept: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("Accept", accept);
    const token = this.#token();
    if (token !== null) headers.set("Authorization", `Bearer ${token}`);
    let response: Response;
    try {
      response = await this.#fetch(path, { ...init, headers, cache: "no-store" });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new ApiError("the server cannot be reached", 0);
    }
    // A login that is refused has not ended.
    if (response.status === 401 && path !== "/api/login") this.#unauthorized();
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

async function errorOf(response: Response): Promise<ApiError> {
  const fallback = `the server answered ${response.status} ${response.statusText}`.trim();
  const retryAfter = response.headers.get("retry-after");
  const seconds = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null;
  try {
    const body: unknown = await response.json();
    if (typeof body !== "object" || body === null || !("error" in body) || typeof body.error !== "string") return new ApiError(fallback, response.status, null, seconds);
    return new ApiError(body.error, response.status, "at" in body ? (body.at as SqlPlace) : null, seconds);
  } catch {
    return new ApiError(fallback, response.status, null, seconds);
  }
}
