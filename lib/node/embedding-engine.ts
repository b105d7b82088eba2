// The engine of a model with no layers: real derivation, no model files. For private networks, tests and demonstrations.

import { setImmediate, setTimeout } from 'node:timers/promises'
import { throwIfAborted } from '../errors.ts'
import { encodeVectorBytes } from '../protocol/artifact-vector.ts'
import { embeddingArtifact } from '../protocol/embedding-artifact.ts'
import { type Artifact, batchesOf, type PocV2Engine } from './engine.ts'

/** The model id under which networks know it. */
export const embeddingModel = 'gonka-miner/embedding'

export interface EmbeddingEngineOptions {
  /** Model ids to answer to. */
  readonly models?: readonly string[]
  /** Width of the embedding. Another width is another model: its artifacts match nobody else's. */
  readonly dim?: number
  /** Upper bound of nonces per second, 0 = none: a network of many nodes on one machine needs one. */
  readonly rateLimit?: number
}

const sliceMs = 8
const catchUpMs = 1000

export function embeddingEngine(options: EmbeddingEngineOptions = {}): PocV2Engine {
  const models = options.models ?? [embeddingModel]
  const dim = options.dim ?? 64
  const perNonceMs = options.rateLimit ? 1000 / options.rateLimit : 0
  let due = 0
  return {
    name: `embedding dim ${dim}`,
    models,
    refuse(job) {
      if (models.includes(job.model) && job.kDim <= dim) return undefined
      return {
        error: 'PoC params do not match the deployed model',
        requested: { model: job.model, seq_len: job.seqLen, k_dim: job.kDim },
        deployed: { model: models[0], k_dim_max: dim },
      }
    },
    async check() {},
    async *generate(job, nonces, batchSize, signal) {
      const embedding = { ...job, dim }
      for (const batch of batchesOf(nonces, batchSize)) {
        throwIfAborted(signal)
        const artifacts: Artifact[] = []
        let sliceEnd = performance.now() + sliceMs
        for (const nonce of batch) {
          artifacts.push({ nonce, vector: encodeVectorBytes(embeddingArtifact(embedding, nonce)) })
          if (performance.now() > sliceEnd) {
            await setImmediate()
            throwIfAborted(signal)
            sliceEnd = performance.now() + sliceMs
          }
        }
        // Timers come late: what that lost is made good, so that the rate is the one asked for. A pause is not.
        const now = performance.now()
        due = (due < now - catchUpMs ? now : due) + perNonceMs * batch.length
        const ahead = due - performance.now()
        if (ahead > 0) await setTimeout(ahead, undefined, { signal }).catch(() => undefined)
        else await setImmediate()
        throwIfAborted(signal)
        yield { computed: batch, artifacts }
      }
    },
    async close() {},
  }
}
