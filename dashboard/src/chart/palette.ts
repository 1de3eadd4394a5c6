/** The page's colours as values, for what draws on a canvas. */

export interface Palette {
  ink: string;
  ink2: string;
  ink3: string;
  line: string;
  line2: string;
  surface: string;
  raised: string;
  flow: string;
  reject: string;
  archive: string;
  /** For several series: apart from one another in light and dark, also for most colour-blind eyes. */
  series: string[];
  font: string;
}

const SERIES_LIGHT = ["#0a6c82", "#b8860b", "#7a4fa0", "#ad3717", "#4d7a3a", "#48585c", "#2f55a4", "#a14a76"];
const SERIES_DARK = ["#5cc6d8", "#e3b85a", "#b99be0", "#f58d70", "#93c47d", "#a9b8b8", "#86a8f0", "#e594bd"];

export function readPalette(dark: boolean): Palette {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string): string => style.getPropertyValue(name).trim();
  return {
    ink: value("--ink"),
    ink2: value("--ink-2"),
    ink3: value("--ink-3"),
    line: value("--line"),
    line2: value("--line-2"),
    surface: value("--surface"),
    raised: value("--raised"),
    flow: value("--flow"),
    reject: value("--reject"),
    archive: value("--archive"),
    series: dark ? SERIES_DARK : SERIES_LIGHT,
    font: value("--sans"),
  };
}
