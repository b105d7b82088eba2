/** Computing anew what a proof claims, for chosen artifacts. */
import { GonkaError, throwIfAborted } from '../errors.ts'
import type { NativeDevice } from '../native-api.ts'
import type { Environment, PocV1Statement } from './payload.ts'

export interface Recomputation {
  readonly kind: 'poc_v1' | 'poc_v2' | 'matmul_pow'
  readonly computed: number
  readonly mismatches: number
  /** Largest difference to a claimed distance; 0 where the work is exact. */
  readonly maxDifference: number
  /** Differences up to this count as equal. */
  readonly tolerance: number
  readonly seconds: number
}

export interface RecomputeOptions {
  readonly device: () => Promise<NativeDevice>
  readonly onProgress?: (text: string, fraction: number) => void
  readonly signal?: AbortSignal
}

/** Claimed and recomputed with fp32 arithmetic: measured differences stay below 2.1e-7. */
const toleranceF32 = 1e-6
/** Either side with fp16 activations: measured differences stay below 8.7e-5. */
const toleranceF16 = 2e-4

/** Distances of the artifacts with these indices, on a device. */
export async function recomputeDistances(
  statement: PocV1Statement,
  environment: Environment,
  indices: readonly number[],
  { device: openDevice, onProgress, signal }: RecomputeOptions,
): Promise<Recomputation> {
  const device = await openDevice()
  throwIfAborted(signal)
  const started = performance.now()
  const session = await device.pocV1Open(
    { params: statement.params, blockHash: statement.blockHash },
    (fraction, step) => onProgress?.(step, fraction),
    signal,
  )
  try {
    const recomputed: number[] = []
    await session.run(
      { publicKey: statement.publicKey, nonces: BigInt64Array.from(indices, (i) => statement.nonces[i] as bigint) },
      (_nonces, dist) => {
        for (const distance of dist) recomputed.push(distance)
        onProgress?.(
          `recomputed ${recomputed.length} of ${indices.length} distances`,
          recomputed.length / indices.length,
        )
      },
      signal,
    )
    throwIfAborted(signal)
    if (recomputed.length !== indices.length) {
      throw new GonkaError('ERR_GK_INTERNAL', `${recomputed.length} distances came back for ${indices.length} nonces`)
    }
    const single = environment.compute === 'f32' && session.compute === 'f32'
    const tolerance = single ? toleranceF32 : toleranceF16
    const differences = indices.map((at, i) => Math.abs((recomputed[i] as number) - (statement.dist[at] as number)))
    return {
      kind: 'poc_v1',
      computed: indices.length,
      // A distance that is not a number equals no claim.
      mismatches: differences.filter((difference) => !(difference <= tolerance)).length,
      maxDifference: differences.reduce((a, b) => (Number.isNaN(b) || b > a ? b : a), 0),
      tolerance,
      seconds: (performance.now() - started) / 1000,
    }
  } finally {
    await session.close()
  }
}
