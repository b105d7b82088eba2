// The statistical verdict on artifacts: how likely is it that an honest prover shows this many mismatches?

import { decodeVector } from './artifact-vector.ts'
import { binomialUpperTail } from './binomial.ts'

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
  const pValue = nTotal === 0 ? 1 : binomialUpperTail(nTotal, mismatchNonces.length, test.pMismatch)
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
