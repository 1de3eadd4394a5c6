/** The `[server] token`, kept for as long as the tab lives. */

const KEY = "millstream.token";

export function readToken(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export function writeToken(token: string): void {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Storage is shut off: the token is asked for again after a reload.
  }
}
