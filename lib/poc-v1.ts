/** One PoC v1 round: nonces in, artifacts out, as they are computed. */
import { GonkaError } from './errors.ts'
import type { NativeDevice, PocV1Params, PocV1RunRequest, PocV1Session, PocV1Stats } from './native-api.ts'
import { runStream } from './run-stream.ts'

/** Distances of one forward pass. */
export interface PocV1Batch {
  /** Only those with dist < rTarget, where the round has one. */
  readonly nonces: BigInt64Array
  readonly dist: Float64Array
  /** Nonces that the pass computed. */
  readonly computed: number
}

/** Streams a run of an open session. Leaving the loop early cancels the run. Returns the run's figures. */
export function runSession(
  session: PocV1Session,
  request: PocV1RunRequest,
  signal?: AbortSignal,
): AsyncGenerator<PocV1Batch, PocV1Stats, undefined> {
  return runStream(
    (push, stop) => session.run(request, (nonces, dist, computed) => push({ nonces, dist, computed }), stop),
    signal,
  )
}

export interface PocV1Options {
  readonly device: NativeDevice
  readonly params: PocV1Params
  readonly blockHash: string
  /** Hashed into seeds as it stands. */
  readonly publicKey: string
  readonly nonces: BigInt64Array
  /** Only nonces with dist < rTarget are yielded. */
  readonly rTarget?: number
  /** Nonces per forward pass. */
  readonly batch?: number
  /** All parameters, f16 little-endian, in parameter order; derived from the block hash if absent. */
  readonly weights?: Uint8Array
  /** While the model is made: fraction 0..1 and the step's name. */
  readonly onProgress?: (fraction: number, step: string) => void
  readonly signal?: AbortSignal
}

/** Opens a session for these options. The caller closes it. */
export function openSession(options: PocV1Options): Promise<PocV1Session> {
  const { device, params, blockHash, weights, onProgress, signal } = options
  return device.pocV1Open({ params, blockHash, ...(weights ? { weights } : {}) }, onProgress, signal)
}

/** The part of the options that a run of the session needs. */
export function runRequest(options: PocV1Options): PocV1RunRequest {
  const { publicKey, nonces, rTarget, batch } = options
  if (nonces.length === 0) throw new GonkaError('ERR_GK_INVALID_ARGUMENT', 'no nonces')
  return {
    publicKey,
    nonces,
    ...(rTarget === undefined ? {} : { rTarget }),
    ...(batch === undefined ? {} : { batch }),
  }
}

/**
 * Makes the model, computes the nonces in their order and yields batch by batch; leaving the loop early cancels.
 *
 *   for await (const { nonces, dist } of pocV1({ device, params, blockHash, publicKey, nonces })) ...
 */
export async function* pocV1(options: PocV1Options): AsyncGenerator<PocV1Batch, PocV1Stats, undefined> {
  const request = runRequest(options)
  const session = await openSession(options)
  try {
    return yield* runSession(session, request, options.signal)
  } finally {
    await session.close()
  }
}

/** All batches of a stream as two arrays, and what the stream returned. */
export async function collect(
  stream: AsyncGenerator<PocV1Batch, PocV1Stats, undefined>,
  onBatch?: (computedSoFar: number) => void,
): Promise<{ nonces: BigInt64Array; dist: Float64Array; stats: PocV1Stats }> {
  const batches: PocV1Batch[] = []
  let computed = 0
  for (;;) {
    const next = await stream.next()
    if (next.done) {
      const count = batches.reduce((sum, batch) => sum + batch.nonces.length, 0)
      const nonces = new BigInt64Array(count)
      const dist = new Float64Array(count)
      let at = 0
      for (const batch of batches) {
        nonces.set(batch.nonces, at)
        dist.set(batch.dist, at)
        at += batch.nonces.length
      }
      return { nonces, dist, stats: next.value }
    }
    batches.push(next.value)
    computed += next.value.computed
    onBatch?.(computed)
  }
}
