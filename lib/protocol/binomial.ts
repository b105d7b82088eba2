/**
 * Exact binomial tail probabilities, and the Poisson mass that is their limit.
 * Source: C. Loader, "Fast and Accurate Computation of Binomial Probabilities", 2000: the probability mass through the
 * deviance and Stirling's error keeps full precision where factorials of the size of n would lose 1e-9.
 */

/** P[Binomial(n, p) >= k] for integers 0 <= n <= 2^31, any integer k, 0 <= p <= 1. Relative error below 1e-11. */
export function binomialUpperTail(n: number, k: number, p: number): number {
  if (k <= 0) return 1
  if (k > n) return 0
  if (p <= 0) return 0
  if (p >= 1) return 1
  // Sum from the term next to k away from the mean: it falls at once, so the sum is short and cannot cancel.
  if (k > n * p) return upwards(n, k, p)
  return 1 - downwards(n, k - 1, p)
}

/** Sum of the mass at k, k + 1, ... for k above the mean. */
function upwards(n: number, k: number, p: number): number {
  const odds = p / (1 - p)
  let term = 1
  let sum = 1
  for (let i = k; i < n; i++) {
    term *= ((n - i) / (i + 1)) * odds
    sum += term
    if (term < sum * 1e-18) break
  }
  return binomialMass(n, k, p) * sum
}

/** Sum of the mass at k, k - 1, ... 0 for k not above the mean. */
function downwards(n: number, k: number, p: number): number {
  const odds = (1 - p) / p
  let term = 1
  let sum = 1
  for (let i = k; i > 0; i--) {
    term *= (i / (n - i + 1)) * odds
    sum += term
    if (term < sum * 1e-18) break
  }
  return binomialMass(n, k, p) * sum
}

/** P[Binomial(n, p) = k] for 0 < p < 1 and 0 <= k <= n. */
export function binomialMass(n: number, k: number, p: number): number {
  if (k === 0) return Math.exp(n * Math.log1p(-p))
  if (k === n) return Math.exp(n * Math.log(p))
  const exponent =
    stirlingError(n) - stirlingError(k) - stirlingError(n - k) - deviance(k, n * p) - deviance(n - k, n * (1 - p))
  return Math.exp(exponent) * Math.sqrt(n / (2 * Math.PI * k * (n - k)))
}

/** P[Poisson(mean) = k] for mean > 0 and integers k >= 0. */
export function poissonMass(k: number, mean: number): number {
  if (k === 0) return Math.exp(-mean)
  return Math.exp(-stirlingError(k) - deviance(k, mean)) / Math.sqrt(2 * Math.PI * k)
}

/** log(n!) minus Stirling's approximation, for n >= 1. */
function stirlingError(n: number): number {
  if (n < exactStirlingErrors.length) return exactStirlingErrors[n] as number
  const square = n * n
  return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / n
}

/** By definition from the factorials up to 18!, which doubles hold exactly. Above, the series errs by less than 1e-16. */
const exactStirlingErrors: readonly number[] = (() => {
  const errors = [0]
  let factorial = 1
  for (let n = 1; n <= 15; n++) {
    factorial *= n
    // log(n! e^n / n^n / sqrt(2 pi n)): one logarithm of a number near 1, so that nothing cancels.
    errors.push(Math.log1p(((factorial / n ** n) * Math.exp(n)) / Math.sqrt(2 * Math.PI * n) - 1))
  }
  return errors
})()

/** x log(x / mean) + mean - x without cancellation when x is near mean. */
function deviance(x: number, mean: number): number {
  const difference = x - mean
  if (Math.abs(difference) >= 0.1 * (x + mean)) return x * Math.log(x / mean) - difference
  const v = difference / (x + mean)
  let sum = difference * v
  let power = 2 * x * v
  const square = v * v
  for (let j = 1; j < 1000; j++) {
    power *= square
    const next = sum + power / (2 * j + 1)
    if (next === sum) break
    sum = next
  }
  return sum
}
