import { expect, it } from "vitest";

import { ApiClient, ApiError } from "./client";

function client(response: Response, token: string | null = null) {
  const seen: Headers[] = [];
  let unauthorized = 0;
  const api = new ApiClient(
    (_input, init) => {
      seen.push(new Headers(init?.headers));
      return Promise.resolve(response);
    },
    () => token,
    () => (unauthorized += 1),
  );
  return { api, seen, unauthorized: () => unauthorized };
}

it("shows the token when there is one", async () => {
  const [without, with_] = [client(Response.json(1)), client(Response.json(1), "abc")];
  await without.api.json("/api/me");
  await with_.api.json("/api/me");
  expect(without.seen[0]?.has("authorization")).toBe(false);
  expect(with_.seen[0]?.get("authorization")).toBe("Bearer abc");
});

it("tells that a session has ended, and not that a password is wrong", async () => {
  const refused = (): Response => Response.json({ error: "log in" }, { status: 401 });
  const ended = client(refused());
  await expect(ended.api.json("/api/status")).rejects.toThrow("log in");
  expect(ended.unauthorized()).toBe(1);
  const wrong = client(refused());
  await expect(wrong.api.json("/api/login", { method: "POST" })).rejects.toThrow("log in");
  expect(wrong.unauthorized()).toBe(0);
});

it("knows how long to wait", async () => {
  const error = await client(Response.json({ error: "later" }, { status: 429, headers: { "retry-after": "8" } })).api.json("/api/login").catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ApiError);
  expect((error as ApiError).retryAfterSeconds).toBe(8);
});
