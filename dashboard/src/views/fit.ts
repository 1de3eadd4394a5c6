/** The line that fits points best (least squares): pure. */

export interface Fit {
  /** From the lowest to the highest horizontal value. */
  points: [[number, number], [number, number]];
  slope: number;
  /** Share of the spread that the line explains, from 0 to 1. */
  r2: number;
}

/** Null for fewer than three points, or when all stand above one another. */
export function fitOf(points: readonly (readonly [number, number])[]): Fit | null {
  const count = points.length;
  if (count < 3) return null;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count;
  let [xx, xy, yy] = [0, 0, 0];
  let [low, high] = [Infinity, -Infinity];
  for (const [x, y] of points) {
    xx += (x - meanX) ** 2;
    xy += (x - meanX) * (y - meanY);
    yy += (y - meanY) ** 2;
    low = Math.min(low, x);
    high = Math.max(high, x);
  }
  if (xx === 0) return null;
  const slope = xy / xx;
  const at = (x: number): number => meanY + slope * (x - meanX);
  return { points: [[low, at(low)], [high, at(high)]], slope, r2: yy === 0 ? 1 : xy ** 2 / (xx * yy) };
}
