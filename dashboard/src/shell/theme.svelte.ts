/** Light or dark: as the system says, until the person says otherwise. */

export type ThemeChoice = "system" | "light" | "dark";

const KEY = "millstream.theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");

class Theme {
  choice = $state<ThemeChoice>(stored());
  #systemDark = $state(system.matches);

  constructor() {
    system.addEventListener("change", (event) => {
      this.#systemDark = event.matches;
      this.apply();
    });
  }

  get dark(): boolean {
    return this.choice === "system" ? this.#systemDark : this.choice === "dark";
  }

  /** Switches between light and dark; a choice that equals the system's goes back to following it. */
  toggle(): void {
    const dark = !this.dark;
    this.choice = dark === this.#systemDark ? "system" : dark ? "dark" : "light";
    try {
      localStorage.setItem(KEY, this.choice);
    } catch {
      // Storage is shut off: the choice lasts until a reload.
    }
    this.apply();
  }

  apply(): void {
    document.documentElement.dataset["theme"] = this.dark ? "dark" : "light";
  }
}

function stored(): ThemeChoice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

export const theme = new Theme();
