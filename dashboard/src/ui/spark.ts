/** The path of a small line from values, left to right; null when there are not two of them. Starts at zero, so that heights compare. */
export function sparkPath(values: readonly number[], width: number, height: number): string | null {
  if (values.length < 2) return null;
  const most = Math.max(...values, 1e-9);
  const points = values.map((value, index) => `${round((index / (values.length - 1)) * width)} ${round(height + 1 - (Math.max(0, value) / most) * height)}`);
  return `M${points.join("L")}`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
