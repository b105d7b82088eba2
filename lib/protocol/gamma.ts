/** The gamma distribution of integer shape: how much work a number of random hits stands for. */
import { poissonMass } from './binomial.ts'

/**
 * x with P[Gamma(shape, 1) <= x] = probability, for an integer shape 1 .. 2^31 and 0 < probability < 1.
 * Relative error below 1e-10.
 */
export function gammaQuantile(shape: number, probability: number): number {
  let low = 0
  let high = shape + 10 * Math.sqrt(shape) + 10
  while (gammaLower(shape, high) < probability) high *= 2
  for (let i = 0; i < 200 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2
    if (gammaLower(shape, middle) < probability) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/**
 * P[Gamma(shape, 1) <= x] = P[Poisson(x) >= shape]. The mass at the edge comes from Loader's formula, the rest is a sum
 * that falls from its first term: no cancellation on either side of the mean. Integer shape; 1 for a shape of 0: none is
 * always reached.
 */
export function gammaLower(shape: number, x: number): number {
  if (shape <= 0) return 1
  if (x <= 0) return 0
  if (x < shape) {
    let term = 1
    let sum = 1
    for (let i = shape + 1; term > sum * 1e-17; i++) {
      term *= x / i
      sum += term
    }
    return poissonMass(shape, x) * sum
  }
  let term = 1
  let sum = 1
  for (let i = shape - 1; i > 0 && term > sum * 1e-17; i--) {
    term *= i / x
    sum += term
  }
  return 1 - poissonMass(shape - 1, x) * sum
}
