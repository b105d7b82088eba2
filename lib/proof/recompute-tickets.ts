/** Tickets of shares computed anew: by the addon where it is at hand, else in plain JavaScript. */
import { setImmediate } from 'node:timers/promises'
import { throwIfAborted } from '../errors.ts'
import type { NativeApi } from '../native-api.ts'
import { jobSeed, nonceSeed, ticketOf, tileSize, wins } from '../protocol/matmul-pow.ts'
import type { MatmulPowStatement } from './payload.ts'
import type { Recomputation } from './recompute.ts'

/** NativeApi.checkShares, or what stands in for it. */
export type CheckShares = NativeApi['checkShares']

export interface RecomputeTicketsOptions {
  readonly checkShares?: CheckShares
  readonly onProgress?: (text: string, fraction: number) => void
  readonly signal?: AbortSignal
}

/** How many of the shares with these indices do not win. */
export async function recomputeTickets(
  statement: MatmulPowStatement,
  indices: readonly number[],
  { checkShares = checkSharesHere, onProgress, signal }: RecomputeTicketsOptions,
): Promise<Recomputation> {
  throwIfAborted(signal)
  const started = performance.now()
  const won = await checkShares(
    {
      job: statement,
      nonces: BigUint64Array.from(indices, (at) => statement.nonces[at] as bigint),
      bi: Uint32Array.from(indices, (at) => statement.bi[at] as number),
      bj: Uint32Array.from(indices, (at) => statement.bj[at] as number),
    },
    (done) => onProgress?.(`recomputed ${done} of ${indices.length} shares`, done / indices.length),
    signal,
  )
  const seconds = (performance.now() - started) / 1000
  const mismatches = won.reduce((count, one) => count + (one === 1 ? 0 : 1), indices.length - won.length)
  return { kind: 'matmul_pow', computed: indices.length, mismatches, maxDifference: 0, tolerance: 0, seconds }
}

/** checkShares in plain JavaScript and this thread; other work gets its turn between two shares. */
export const checkSharesHere: CheckShares = async ({ job, nonces, bi, bj }, onChecked, signal) => {
  const won = new Uint8Array(nonces.length)
  const seed = jobSeed(job)
  for (const [i, nonce] of nonces.entries()) {
    throwIfAborted(signal)
    const [row, column] = [bi[i] as number, bj[i] as number]
    if (row < job.m / tileSize && column < job.n / tileSize) {
      won[i] = wins(ticketOf(job, nonceSeed(seed, nonce), row, column), job.target) ? 1 : 0
    }
    onChecked?.(i + 1)
    await setImmediate()
  }
  return won
}
