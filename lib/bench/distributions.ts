/** The distributions that intervals and tests need. */

/**
 * P[N(0,1) <= z]: the series around 0 (Abramowitz and Stegun 26.2.11) and Laplace's continued fraction for the tails
 * (26.2.14), so that small probabilities keep their relative precision, 1e-13.
 */
export function normalCdf(z: number): number {
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)
  const distance = Math.abs(z)
  if (distance < 3) {
    let term = z
    let sum = z
    for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) {
      term *= (z * z) / k
      sum += term
    }
    return 0.5 + density * sum
  }
  let fraction = distance
  for (let k = 200; k >= 1; k--) fraction = distance + k / fraction
  const tail = density / fraction
  return z < 0 ? tail : 1 - tail
}

/**
 * P[T <= t] for Student's t with a positive integer of degrees of freedom: the finite sums of Abramowitz and Stegun,
 * 26.7.3 and 26.7.4.
 */
export function studentCdf(t: number, degrees: number): number {
  const angle = Math.atan(Math.abs(t) / Math.sqrt(degrees))
  const cosine = Math.cos(angle)
  const odd = degrees % 2 === 1
  let term = odd ? cosine : 1
  let sum = degrees === 1 ? 0 : term
  for (let k = odd ? 3 : 2; k < degrees; k += 2) {
    term *= ((k - 1) / k) * cosine * cosine
    sum += term
  }
  const within = odd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum
  return t < 0 ? (1 - within) / 2 : (1 + within) / 2
}

/** t with studentCdf(t, degrees) = probability, for 0 < probability < 1. */
export function studentQuantile(probability: number, degrees: number): number {
  return invert((t) => studentCdf(t, degrees), probability)
}

/** z with normalCdf(z) = probability, for 0 < probability < 1. */
export function normalQuantile(probability: number): number {
  return invert(normalCdf, probability)
}

/** The argument at which an increasing function over all reals takes a value, by bisection. */
function invert(cdf: (x: number) => number, value: number): number {
  let low = -1
  let high = 1
  while (cdf(low) > value) low *= 2
  while (cdf(high) < value) high *= 2
  for (let i = 0; i < 100 && high - low > 1e-13 * Math.max(1, Math.abs(low)); i++) {
    const middle = (low + high) / 2
    if (cdf(middle) < value) low = middle
    else high = middle
  }
  return (low + high) / 2
}
