/** A token in place of a name and a password, kept for as long as the tab lives. */

const KEY = "millstream.token";
/** Where storage is shut off: gone with a reload. */
let held: string | null = null;

export function readToken(): string | null {
  try {
    return sessionStorage.getItem(KEY) ?? held;
  } catch {
    return held;
  }
}

export function writeToken(token: string): void {
  held = token;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Storage is shut off.
  }
}

export function forgetToken(): void {
  held = null;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There is nothing to forget.
  }
}
