// PoC v2 on a device of the native addon, by a model's own files.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { GonkaError } from '../errors.ts'
import type { NativeApi } from '../native-api.ts'
import { runPocV2 } from '../poc-v2.ts'
import { type Artifact, batchesOf, type PocV2Engine } from './engine.ts'
import type { Log } from './log.ts'
import { keptDevice } from './native-device.ts'

export interface NativeV2Options {
  readonly device: string
  /** A Hugging Face directory. */
  readonly directory: string
  /** Model ids to answer to; the first one is reported. */
  readonly models: readonly string[]
  readonly log: Log
}

/** The model is loaded with the first job and stays. */
export function nativeV2Engine(native: () => Promise<NativeApi>, options: NativeV2Options): PocV2Engine {
  const { device, directory, models, log } = options
  const kept = keptDevice(native, device, log)
  const model = kept.load(async (handle) => {
    const session = await handle.pocV2Open({ model: directory })
    const { initSeconds: seconds, implementation } = session
    log.info({ device, model: models[0], seconds, implementation }, 'model loaded')
    return session
  })

  return {
    name: `native ${device}`,
    models,
    refuse(job) {
      if (models.includes(job.model)) return undefined
      return {
        error: 'PoC params do not match the deployed model',
        requested: { model: job.model, seq_len: job.seqLen, k_dim: job.kDim },
        deployed: { model: models[0] },
      }
    },
    async check() {
      await access(join(directory, 'config.json')).catch((error) => {
        throw new GonkaError('ERR_GK_FILE', `${directory} holds no readable config.json`, { cause: error })
      })
    },
    async *generate(job, nonces, batchSize, signal) {
      const { blockHash, publicKey, seqLen, kDim, strongerRng } = job
      for (const batch of batchesOf(nonces, batchSize)) {
        const request = {
          blockHash,
          publicKey,
          seqLen,
          kDim,
          rng: strongerRng ? ('concat-murmur' as const) : ('murmur' as const),
          nonces: BigInt64Array.from(batch, BigInt),
        }
        const artifacts = await model.use(async (session) => {
          const found: Artifact[] = []
          for await (const pass of runPocV2(session, request, { signal })) found.push(...pass.artifacts)
          return found
        }, signal)
        yield { computed: batch, artifacts }
      }
    },
    telemetry: () => kept.telemetry(),
    async close() {
      await model.close()
      await kept.close()
    },
  }
}
