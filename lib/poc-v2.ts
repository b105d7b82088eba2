/** PoC v2 rounds on a loaded model: nonces in, artifacts out, as they are computed. */
import type { NativeDevice, PocV2Rng, PocV2RunRequest, PocV2Session, PocV2Stats } from './native-api.ts'
import type { ArtifactTrace } from './protocol/artifact-file.ts'
import { runStream } from './run-stream.ts'

/** Artifacts of one forward pass. */
export interface PocV2Batch {
  /** Those without a NaN, in the order of the request. */
  readonly artifacts: readonly { readonly nonce: number; readonly vector: Uint8Array }[]
  /** Nonces that the pass computed. */
  readonly computed: number
}

export interface PocV2RunOptions {
  readonly signal?: AbortSignal
  /** Gets every nonce's hidden states. */
  readonly onTrace?: (trace: ArtifactTrace) => void
}

/** Streams a run of an open session. Leaving the loop early cancels the run. Returns the run's figures. */
export function runPocV2(
  session: PocV2Session,
  request: PocV2RunRequest,
  { signal, onTrace }: PocV2RunOptions = {},
): AsyncGenerator<PocV2Batch, PocV2Stats, undefined> {
  const trace =
    onTrace &&
    ((nonce: bigint, stream: Float32Array, lastHidden: Float32Array): void => {
      const width = session.hiddenSize
      const layers = Array.from({ length: session.layers }, (_, i) => stream.slice(i * width, (i + 1) * width))
      onTrace({ nonce: Number(nonce), layers, lastHidden })
    })
  return runStream((push: (batch: PocV2Batch) => void, stop) => {
    const onBatch = (nonces: BigInt64Array, vectors: Uint8Array, computed: number): void => {
      const width = 2 * request.kDim
      const artifacts = Array.from(nonces, (nonce, i) => ({
        nonce: Number(nonce),
        vector: vectors.subarray(i * width, (i + 1) * width),
      }))
      push({ artifacts, computed })
    }
    return session.run(request, onBatch, stop, trace)
  }, signal)
}

export interface PocV2Options extends PocV2RunOptions {
  readonly device: NativeDevice
  /** A Hugging Face directory: config.json with model.safetensors, or with shards and their index. */
  readonly model: string
  /** Arithmetic of the matrix products; the model's own type if absent. */
  readonly compute?: 'f32'
  /** Both are hashed into seeds as they stand. */
  readonly blockHash: string
  readonly publicKey: string
  /** 0 .. 2^53 - 1. */
  readonly nonces: BigInt64Array
  /** Tokens per nonce; 1024 if absent. */
  readonly seqLen?: number
  /** Values of a vector; 12 if absent. */
  readonly kDim?: number
  /** murmur if absent. */
  readonly rng?: PocV2Rng
  /** Nonces per forward pass; does not change the artifacts. */
  readonly batch?: number
  /** While the model is loaded: fraction 0..1 and the step's name. */
  readonly onProgress?: (fraction: number, step: string) => void
}

/** Loads the model, computes the nonces, frees the model: one round. A session computes several without loading anew. */
export async function* pocV2(options: PocV2Options): AsyncGenerator<PocV2Batch, PocV2Stats, undefined> {
  const { device, model, compute, onProgress, signal, batch } = options
  const session = await device.pocV2Open({ model, ...(compute === undefined ? {} : { compute }) }, onProgress, signal)
  try {
    const { blockHash, publicKey, nonces, seqLen = 1024, kDim = 12, rng = 'murmur' } = options
    const request = { blockHash, publicKey, nonces, seqLen, kDim, rng, ...(batch === undefined ? {} : { batch }) }
    return yield* runPocV2(session, request, options)
  } finally {
    await session.close()
  }
}
