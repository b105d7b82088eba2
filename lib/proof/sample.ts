/** Samples that nobody can foresee. */
import { randomInt } from 'node:crypto'

/** count distinct indices of 0..total-1 in ascending order, uniform, from the operating system's random source. */
export function drawSample(total: number, count: number): number[] {
  if (count >= total) return Array.from({ length: total }, (_, i) => i)
  // Floyd's algorithm: as many draws as there are indices, each subset equally likely.
  const chosen = new Set<number>()
  for (let i = total - count; i < total; i++) {
    const candidate = randomInt(i + 1)
    chosen.add(chosen.has(candidate) ? i : candidate)
  }
  return [...chosen].sort((a, b) => a - b)
}
