// How a network node speaks to its ML nodes, per PoC scheme.

import type { PocV1Params } from '../native-api.ts'
import type { Stage } from './chain.ts'

export interface StatTest {
  readonly distThreshold: number
  readonly pMismatch: number
  readonly pValueThreshold: number
}

export interface SchemeV2 {
  readonly kind: 'v2'
  readonly modelId: string
  readonly seqLen: number
  readonly kDim: number
  readonly strongerRng: boolean
  readonly statTest: StatTest
  readonly batchSize: number
}
export interface SchemeV1 {
  readonly kind: 'v1'
  readonly modelId: string
  readonly params: PocV1Params
  readonly rTarget: number
  readonly fraudThreshold: number
  readonly batchSize: number
}
export type Scheme = SchemeV1 | SchemeV2

export interface StageCall {
  readonly stage: Stage
  readonly publicKeyHex: string
  readonly nodeId: number
  readonly nodeCount: number
  readonly callbackUrl: string
}

/** Artifacts of another host, as its proofs or batches showed them. */
export interface Claims {
  readonly publicKeyHex: string
  readonly nonces: readonly number[]
  /** v2: base64 vectors; v1: distances. */
  readonly vectors?: readonly string[]
  readonly distances?: readonly number[]
}

export interface Broker {
  /** Makes sure the model is up. */
  prepare(url: string, signal: AbortSignal): Promise<void>
  isGenerating(url: string, signal: AbortSignal): Promise<boolean>
  generate(url: string, call: StageCall, signal: AbortSignal): Promise<void>
  stop(url: string, signal: AbortSignal): Promise<void>
  /** Hands claims to a node; the verdict comes back as a callback. */
  validate(url: string, call: StageCall, claims: Claims, signal: AbortSignal): Promise<void>
}

export class AnswerError extends Error {
  readonly status: number
  constructor(what: string, status: number, body: string) {
    super(`${what} answered ${status}: ${body.slice(0, 160)}`)
    this.status = status
  }
}

async function call(
  method: string,
  url: string,
  body: unknown,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<unknown> {
  const answer = await fetch(url, {
    method,
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new AnswerError(`${method} ${new URL(url).pathname}`, answer.status, text)
  return JSON.parse(text)
}

// A network node gives commands 15 minutes and status requests 5 seconds.
const commandMs = 900_000
const statusMs = 5000

export function brokerV2(scheme: SchemeV2): Broker {
  const pow = '/api/v1/inference/pow'
  const common = (c: StageCall) => ({
    block_hash: c.stage.blockHash,
    block_height: c.stage.height,
    node_id: c.nodeId,
    node_count: c.nodeCount,
    batch_size: scheme.batchSize,
    params: { model: scheme.modelId, seq_len: scheme.seqLen, k_dim: scheme.kDim },
    // Escaped twice, as the public network does.
    url: `${c.callbackUrl}/v2/poc-batches/${encodeURIComponent(encodeURIComponent(scheme.modelId))}`,
    ...(scheme.strongerRng ? { poc_stronger_rng: true } : {}),
  })
  return {
    async prepare(url, signal) {
      const state = (await call('GET', `${url}/api/v1/state`, undefined, signal, statusMs)) as Record<string, unknown>
      if (state.state === 'INFERENCE') return
      if (state.state !== 'STOPPED') await call('POST', `${url}/api/v1/stop`, undefined, signal, commandMs)
      await call(
        'POST',
        `${url}/api/v1/inference/up`,
        { model: scheme.modelId, dtype: 'auto', additional_args: [] },
        signal,
        commandMs,
      )
    },
    async isGenerating(url, signal) {
      const status = (await call('GET', `${url}${pow}/status`, undefined, signal, statusMs)) as { status: string }
      return status.status === 'GENERATING'
    },
    async generate(url, c, signal) {
      await call('POST', `${url}${pow}/init/generate`, { ...common(c), public_key: c.publicKeyHex }, signal, commandMs)
    },
    async stop(url, signal) {
      await call('POST', `${url}${pow}/stop`, undefined, signal, commandMs)
    },
    async validate(url, c, claims, signal) {
      const body = {
        ...common(c),
        public_key: claims.publicKeyHex,
        nonces: claims.nonces,
        wait: false,
        validation: { artifacts: claims.nonces.map((nonce, i) => ({ nonce, vector_b64: claims.vectors?.[i] })) },
        stat_test: {
          dist_threshold: scheme.statTest.distThreshold,
          p_mismatch: scheme.statTest.pMismatch,
          p_value_threshold: scheme.statTest.pValueThreshold,
        },
      }
      await call('POST', `${url}${pow}/generate`, body, signal, commandMs)
    },
  }
}

export function brokerV1(scheme: SchemeV1): Broker {
  const pow = '/api/v1/pow'
  const init = (c: StageCall) => ({
    node_id: c.nodeId,
    node_count: c.nodeCount,
    block_hash: c.stage.blockHash,
    block_height: c.stage.height,
    public_key: c.publicKeyHex,
    batch_size: scheme.batchSize,
    r_target: scheme.rTarget,
    fraud_threshold: scheme.fraudThreshold,
    params: scheme.params,
    url: `${c.callbackUrl}/v1/poc-batches`,
  })
  const statusOf = async (url: string, signal: AbortSignal) =>
    (await call('GET', `${url}${pow}/status`, undefined, signal, statusMs)) as { status: string }
  return {
    async prepare(url, signal) {
      // A node that validated keeps the old stage's weights until it is stopped.
      const { status } = await statusOf(url, signal)
      if (status === 'VALIDATING') await call('POST', `${url}${pow}/stop`, undefined, signal, commandMs)
    },
    async isGenerating(url, signal) {
      const { status } = await statusOf(url, signal)
      return status === 'GENERATING' || status === 'LOADING'
    },
    async generate(url, c, signal) {
      await call('POST', `${url}${pow}/init/generate`, init(c), signal, commandMs)
    },
    async stop(url, signal) {
      await call('POST', `${url}${pow}/stop`, undefined, signal, commandMs)
    },
    async validate(url, c, claims, signal) {
      // The weights follow from the block hash: a node that was stopped loads them again, then takes batches.
      await call('POST', `${url}${pow}/init/validate`, init(c), signal, commandMs)
      const batch = {
        public_key: claims.publicKeyHex,
        block_hash: c.stage.blockHash,
        block_height: c.stage.height,
        nonces: claims.nonces,
        dist: claims.distances,
        node_id: c.nodeId,
      }
      await call('POST', `${url}${pow}/validate`, batch, signal, commandMs)
    },
  }
}
