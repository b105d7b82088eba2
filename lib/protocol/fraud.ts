/**
 * Fraud test of PoC v1: are more of a batch's recomputed distances above the target than honest hardware differences
 * would produce? Source: the public reference's ProofBatch and ValidatedBatch; golden/v1/fraud.json.
 */
import { GonkaError } from '../errors.ts'
import { binomialUpperTail } from './binomial.ts'

/** Probability that an honest nonce is recomputed as invalid. */
export const mismatchProbability = 5e-4

/** Threshold of the chain. */
export const defaultFraudThreshold = 1e-7

export interface FraudVerdict {
  /** Recomputed distances above the target; one equal to it, or NaN, counts as valid. */
  readonly nInvalid: number
  /** P[Binomial(n, 5e-4) >= nInvalid]; 1 for an empty batch. */
  readonly probabilityHonest: number
  /** probabilityHonest < threshold, never for an empty batch. */
  readonly fraudDetected: boolean
}

export interface FraudTestInput {
  /** Distances as claimed; each below rTarget, else ERR_GK_BATCH. */
  readonly receivedDist: ArrayLike<number>
  /** Distances as recomputed, one per nonce of the batch: their number is n. Compared up to the shorter list. */
  readonly dist: ArrayLike<number>
  readonly rTarget: number
  readonly fraudThreshold: number
}

export function fraudTest({ receivedDist, dist, rTarget, fraudThreshold }: FraudTestInput): FraudVerdict {
  for (let i = 0; i < receivedDist.length; i++) {
    const received = receivedDist[i] as number
    if (!(received < rTarget)) {
      throw new GonkaError(
        'ERR_GK_BATCH',
        `claimed distance ${received} at position ${i} is not below r_target ${rTarget}: such a nonce is no artifact`,
      )
    }
  }
  let nInvalid = 0
  for (let i = 0; i < Math.min(receivedDist.length, dist.length); i++) if ((dist[i] as number) > rTarget) nInvalid++
  return fraudVerdict(dist.length, nInvalid, fraudThreshold)
}

/** The verdict for n nonces of which nInvalid are invalid. */
export function fraudVerdict(n: number, nInvalid: number, fraudThreshold: number): FraudVerdict {
  if (n === 0) return { nInvalid, probabilityHonest: 1, fraudDetected: false }
  const probabilityHonest = binomialUpperTail(n, nInvalid, mismatchProbability)
  return { nInvalid, probabilityHonest, fraudDetected: probabilityHonest < fraudThreshold }
}

/** Nonces whose distance is below rTarget, in their order: what a miner submits. */
export function belowTarget(
  nonces: BigInt64Array,
  dist: Float64Array,
  rTarget: number,
): { nonces: BigInt64Array; dist: Float64Array } {
  const kept = [...dist.keys()].filter((i) => (dist[i] as number) < rTarget)
  return {
    nonces: BigInt64Array.from(kept, (i) => nonces[i] as bigint),
    dist: Float64Array.from(kept, (i) => dist[i] as number),
  }
}
