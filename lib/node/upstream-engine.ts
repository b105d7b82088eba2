// A server that speaks the replica-level PoC v2 API computes for us. Nonces are asked for explicitly and waited for, so its
// artifacts pass through our outbox and survive a restart of either side.

import { z } from 'zod'
import { GonkaError, messageOf, throwIfAborted } from '../errors.ts'
import { decodeBase64 } from '../protocol/artifact-vector.ts'
import { type Artifact, batchesOf, type PocV2Engine } from './engine.ts'
import type { HttpClient } from './http-client.ts'
import { loggedUrl } from './log.ts'

const answerSchema = z.object({
  status: z.string(),
  artifacts: z.array(z.object({ nonce: z.number().int(), vector_b64: z.string().max(65_536) })).max(1_000_000),
})

const batchTimeoutMs = 60_000

/** `served` names the model that is up, undefined while none is. */
export function upstreamEngine(url: string, http: HttpClient, served: () => string | undefined): PocV2Engine {
  return {
    name: `upstream ${loggedUrl(url)}`,
    models: undefined,
    // The server compares the other parameters with what it serves itself.
    refuse(job) {
      const deployed = served()
      if (deployed === undefined || deployed === job.model) return undefined
      return {
        error: 'PoC params do not match the deployed model',
        requested: { model: job.model, seq_len: job.seqLen, k_dim: job.kDim },
        deployed: { model: deployed },
      }
    },
    async check() {
      const answer = await http.send('GET', `${url}/health`, { timeoutMs: 5000, maxBody: 1024 })
      if (answer.status !== 200) throw new GonkaError('ERR_GK_DEVICE_ERROR', `upstream health is ${answer.status}`)
    },
    async *generate(job, nonces, batchSize, signal) {
      for (const batch of batchesOf(nonces, batchSize)) {
        throwIfAborted(signal)
        const answer = await http
          .send('POST', `${url}/api/v1/pow/generate`, {
            json: {
              block_hash: job.blockHash,
              block_height: 0,
              public_key: job.publicKey,
              node_id: 0,
              node_count: 1,
              nonces: batch,
              params: { model: job.model, seq_len: job.seqLen, k_dim: job.kDim },
              batch_size: batch.length,
              wait: true,
              ...(job.strongerRng ? { poc_stronger_rng: true } : {}),
            },
            timeoutMs: batchTimeoutMs,
            signal,
            maxBody: 64 * 2 ** 20,
          })
          .catch((error: unknown) => {
            throwIfAborted(signal)
            throw new GonkaError('ERR_GK_DEVICE_ERROR', `upstream: ${messageOf(error)}`, { cause: error })
          })
        if (answer.status !== 200) {
          throw new GonkaError(
            'ERR_GK_DEVICE_ERROR',
            `upstream answered ${answer.status}: ${answer.body.slice(0, 200)}`,
          )
        }
        yield { computed: batch, artifacts: artifactsOf(answer.body, batch, job.kDim) }
      }
    },
    async close() {},
  }
}

/** What the server computed of what was asked; a malformed answer is an error, a foreign or malformed artifact too. */
function artifactsOf(body: string, batch: readonly number[], kDim: number): Artifact[] {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    throw new GonkaError('ERR_GK_DEVICE_ERROR', 'upstream answered no JSON')
  }
  const parsed = answerSchema.safeParse(value)
  if (!parsed.success || parsed.data.status !== 'completed') {
    throw new GonkaError('ERR_GK_DEVICE_ERROR', 'upstream answered no completed artifacts; does it serve PoC v2?')
  }
  const asked = new Set(batch)
  const artifacts: Artifact[] = []
  for (const { nonce, vector_b64 } of parsed.data.artifacts) {
    const vector = decodeBase64(vector_b64)
    if (!asked.delete(nonce) || vector === undefined || vector.length !== 2 * kDim) {
      throw new GonkaError('ERR_GK_DEVICE_ERROR', `upstream sent an artifact for nonce ${nonce} that was not asked for`)
    }
    artifacts.push({ nonce, vector })
  }
  return artifacts
}
