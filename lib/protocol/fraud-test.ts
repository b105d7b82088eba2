// The statistical verdict on artifacts: how likely is it that an honest prover shows this many mismatches?

import { decodeVector } from './artifact-vector.ts'

/** ln n! - (n ln n - n + ln(2 pi n)/2): the error of Stirling's formula. Series from n = 16, exact sums below. */
function stirlingError(n: number): number {
  if (n < 16) {
    let logFactorial = 0
    for (let i = 2; i <= n; i++) logFactorial += Math.log(i)
    return n === 0 ? 0 : logFactorial - ((n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI))
  }
  const n2 = n * n
  return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / n2) / n2) / n2) / n2) / n
}

/** x ln(x/m) + m - x without cancellation near x = m. */
function deviance(x: number, m: number): number {
  if (Math.abs(x - m) < 0.1 * (x + m)) {
    const v = (x - m) / (x + m)
    let sum = (x - m) * v
    let term = 2 * x * v
    for (let j = 1; j < 1000; j++) {
      term *= v * v
      const next = sum + term / (2 * j + 1)
      if (next === sum) break
      sum = next
    }
    return sum
  }
  return x * Math.log(x / m) + m - x
}

/** P[Binomial(n, p) = k] by Loader's saddle-point expansion (2000), accurate where factorials overflow. */
function binomialMass(k: number, n: number, p: number): number {
  const q = 1 - p
  if (k === 0) return Math.exp(n * Math.log1p(-p))
  if (k === n) return Math.exp(n * Math.log(p))
  const exponent =
    stirlingError(n) - stirlingError(k) - stirlingError(n - k) - deviance(k, n * p) - deviance(n - k, n * q)
  return Math.exp(exponent) * Math.sqrt(n / (2 * Math.PI * k * (n - k)))
}

/** P[Binomial(n, p) >= k]: 0 <= k <= n, 0 < p < 1. Relative error about 1e-12. */
export function binomialUpperTail(k: number, n: number, p: number): number {
  if (k <= 0) return 1
  if (k > n) return 0
  const upward = k > n * p
  let term = binomialMass(upward ? k : k - 1, n, p)
  let sum = 0
  if (upward) {
    for (let i = k; i <= n && term > sum * 1e-18; i++) {
      sum += term
      term *= ((n - i) / (i + 1)) * (p / (1 - p))
    }
    return Math.min(1, sum)
  }
  for (let i = k - 1; i >= 0 && term > sum * 1e-18; i--) {
    sum += term
    term *= (i / (n - i + 1)) * ((1 - p) / p)
  }
  return Math.max(0, 1 - sum)
}

export interface StatTest {
  /** L2 distance above which (strictly) a nonce counts as a mismatch. */
  readonly distThreshold: number
  /** Chance of a mismatch granted to an honest prover. */
  readonly pMismatch: number
  /** Fraud if the p-value is strictly below. */
  readonly significance: number
}

/** What the reference node uses where a request names nothing. */
export const defaultStatTest: StatTest = { distThreshold: 0.02, pMismatch: 0.001, significance: 0.01 }

export interface Verdict {
  /** Nonces scored: requested less excluded. */
  readonly nTotal: number
  readonly nMismatch: number
  readonly mismatchNonces: readonly number[]
  readonly nExcluded: number
  readonly excludedNonces: readonly number[]
  readonly pValue: number
  readonly fraudDetected: boolean
}

/** Compares claimed vectors with recomputed ones.
 *
 *  A nonce mismatches if the claim does not decode to as many finite values as were recomputed, or lies further away than
 *  the threshold. A nonce that could not be recomputed is excluded; if more than max(1, a tenth) are excluded there is no
 *  verdict (undefined): the caller must abstain. */
export function judgeArtifacts(
  claims: readonly { readonly nonce: number; readonly vectorBase64: string }[],
  recomputed: ReadonlyMap<number, Float32Array>,
  test: StatTest,
): Verdict | undefined {
  const mismatchNonces: number[] = []
  const excludedNonces: number[] = []
  for (const { nonce, vectorBase64 } of claims) {
    const own = recomputed.get(nonce)
    if (own === undefined) {
      excludedNonces.push(nonce)
      continue
    }
    const claimed = decodeVector(vectorBase64)
    if (claimed === undefined || claimed.length !== own.length || !claimed.every(Number.isFinite)) {
      mismatchNonces.push(nonce)
      continue
    }
    let sum = 0
    for (let i = 0; i < own.length; i++) sum += ((own[i] as number) - (claimed[i] as number)) ** 2
    if (Math.sqrt(sum) > test.distThreshold) mismatchNonces.push(nonce)
  }
  if (excludedNonces.length > Math.max(1, Math.floor(claims.length / 10))) return undefined
  const nTotal = claims.length - excludedNonces.length
  const pValue = nTotal === 0 ? 1 : binomialUpperTail(mismatchNonces.length, nTotal, test.pMismatch)
  return {
    nTotal,
    nMismatch: mismatchNonces.length,
    mismatchNonces,
    nExcluded: excludedNonces.length,
    excludedNonces,
    pValue,
    fraudDetected: pValue < test.significance,
  }
}
