/** What finding nothing wrong in a sample is worth. */

/** Probability that a sample of `sample` out of `total` holds at least one of `fakes` wrong entries. */
export function detectionProbability(total: number, sample: number, fakes: number): number {
  if (fakes <= 0 || total <= 0) return 0
  if (sample > total - fakes) return 1
  let logMiss = 0
  for (let i = 0; i < sample; i++) logMiss += Math.log1p(-fakes / (total - i))
  return -Math.expm1(logMiss)
}

/** The most wrong entries of `total` that a clean sample of `sample` leaves possible with a probability above `error`. */
export function undetectedFakes(total: number, sample: number, error: number): number {
  let [low, high] = [0, Math.max(0, total - sample)]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (1 - detectionProbability(total, sample, middle) > error) low = middle
    else high = middle - 1
  }
  return low
}
