/** PoC v2 rounds on a loaded model: nonces in, artifacts out, as they are computed. */
import { throwIfAborted } from './errors.ts'
import type { PocV2RunRequest, PocV2Session, PocV2Stats } from './native-api.ts'
import type { ArtifactTrace } from './protocol/artifact-file.ts'

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
export async function* runPocV2(
  session: PocV2Session,
  request: PocV2RunRequest,
  options: PocV2RunOptions = {},
): AsyncGenerator<PocV2Batch, PocV2Stats, undefined> {
  const { signal, onTrace } = options
  throwIfAborted(signal)
  const stop = new AbortController()
  const combined = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const ready: PocV2Batch[] = []
  let wake = (): void => undefined
  let ended = false
  const run = session
    .run(
      request,
      (nonces, vectors, computed) => {
        const width = 2 * request.kDim
        const artifacts = Array.from(nonces, (nonce, i) => ({
          nonce: Number(nonce),
          vector: vectors.subarray(i * width, (i + 1) * width),
        }))
        ready.push({ artifacts, computed })
        wake()
      },
      combined,
      onTrace &&
        ((nonce, stream, lastHidden) => {
          const width = session.hiddenSize
          const layers = Array.from({ length: session.layers }, (_, i) => stream.slice(i * width, (i + 1) * width))
          onTrace({ nonce: Number(nonce), layers, lastHidden })
        }),
    )
    .finally(() => {
      ended = true
      wake()
    })
  run.catch(() => undefined) // awaited below; a consumer that leaves the loop never sees it
  try {
    for (;;) {
      const next = ready.shift()
      if (next) yield next
      else if (ended) return await run
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    if (!ended) {
      stop.abort(new Error('the consumer left'))
      await run.catch(() => undefined)
    }
  }
}
