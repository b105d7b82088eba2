/** How much work the shares of a matmul-pow job prove. */
import { gammaQuantile } from './gamma.ts'
import { type MatmulPowJob, tileSize, winProbability } from './matmul-pow.ts'

export interface ProvenWork {
  /** Estimate of the tiles computed, shares / p, and its relative spread, 1 / sqrt(shares). */
  readonly tiles: number
  readonly relativeSpread: number
  /** Fewer tiles than this would have given as many shares with probability 0.001 at most. */
  readonly tilesLowerBound: number
  /** Multiply-accumulates: 64 * 64 * k per tile. */
  readonly macs: number
  readonly macsLowerBound: number
}

/** One-sided error probability of the bound. */
const boundError = 1e-3

export function provenWork(job: MatmulPowJob): ProvenWork {
  const p = winProbability(job.target)
  const macsPerTile = tileSize * tileSize * job.k
  const tiles = job.shares / p
  // The number of trials for `shares` hits, times p, is close to a gamma variable of that shape, and never smaller than
  // one trial per share.
  const tilesLowerBound = Math.max(job.shares, gammaQuantile(job.shares, boundError) / p)
  return {
    tiles,
    relativeSpread: 1 / Math.sqrt(job.shares),
    tilesLowerBound,
    macs: tiles * macsPerTile,
    macsLowerBound: tilesLowerBound * macsPerTile,
  }
}
