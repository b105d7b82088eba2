/** How much work the shares of a matmul-pow job prove. */
import { undetectedFakes } from './detection.ts'
import { gammaQuantile } from './gamma.ts'
import { type MatmulPowJob, tileSize, winProbability } from './matmul-pow.ts'

export interface ProvenWork {
  /** Estimate of the tiles computed, shares / p, and its relative spread, 1 / sqrt(shares). */
  readonly tiles: number
  readonly relativeSpread: number
  /**
   * Fewer tiles than this would have given as many shares, and as many wrong ones would have escaped the recomputation,
   * with probability 0.001 at most.
   */
  readonly tilesLowerBound: number
  /** Multiply-accumulates: 64 * 64 * k per tile. */
  readonly macs: number
  readonly macsLowerBound: number
}

/** One-sided error probability of the bound. */
const boundError = 1e-3

/** checked: how many of the shares, drawn at random, are known to win; all of them if absent. */
export function provenWork(job: MatmulPowJob, checked = job.shares): ProvenWork {
  const p = winProbability(job.target)
  const macsPerTile = tileSize * tileSize * job.k
  const tiles = job.shares / p
  // The number of trials for `shares` hits, times p, is close to a gamma variable of that shape, and never smaller than
  // one trial per share.
  const tilesFor = (shares: number, error: number) => Math.max(shares, gammaQuantile(shares, error) / p)
  // Where shares were left out, half of the error is for what may be wrong among them.
  const genuine = job.shares - undetectedFakes(job.shares, checked, boundError / 2)
  const half = genuine > 0 ? tilesFor(genuine, boundError / 2) : 0
  const tilesLowerBound = checked >= job.shares ? tilesFor(job.shares, boundError) : half
  return {
    tiles,
    relativeSpread: 1 / Math.sqrt(job.shares),
    tilesLowerBound,
    macs: tiles * macsPerTile,
    macsLowerBound: tilesLowerBound * macsPerTile,
  }
}
