// PoC v2 on a device of the native addon, by a model's own files.

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { openChosenDevice } from '../backends.ts'
import { GonkaError } from '../errors.ts'
import type { NativeApi, NativeDevice, PocV2Session } from '../native-api.ts'
import { runPocV2 } from '../poc-v2.ts'
import { batchesOf, type PocV2Engine } from './engine.ts'
import type { Log } from './log.ts'

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
  let opened: Promise<{ readonly handle: NativeDevice; readonly session: PocV2Session }> | undefined

  const open = async () => {
    const api = await native()
    const handle = await openChosenDevice(api, { device, onNotice: (sentence) => log.warn({ device }, sentence) })
    try {
      const session = await handle.pocV2Open({ model: directory })
      log.info(
        { device, model: models[0], seconds: session.initSeconds, implementation: session.implementation },
        'model loaded',
      )
      return { handle, session }
    } catch (error) {
      await handle.close()
      throw error
    }
  }

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
      opened ??= open()
      const current = opened
      let session: PocV2Session
      try {
        session = (await current).session
      } catch (error) {
        if (opened === current) opened = undefined // the next job tries again
        throw error
      }
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
        const artifacts = []
        for await (const pass of runPocV2(session, request, { signal })) artifacts.push(...pass.artifacts)
        yield { computed: batch, artifacts }
      }
    },
    async close() {
      await opened?.then(({ handle }) => handle.close()).catch(() => undefined)
    },
  }
}
