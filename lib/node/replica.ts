// One engine at work: generates its share of a stage's nonces, and computes given nonces when it does not.

import { messageOf, throwIfAborted } from '../errors.ts'
import { maxNonce } from '../protocol/wire-v2.ts'
import type { Artifact, PocV2Engine } from './engine.ts'
import { errorAfter, generateStage } from './generation.ts'
import type { Log } from './log.ts'
import type { Outbox } from './outbox/outbox.ts'
import type { StageRecord } from './outbox/stages.ts'
import type { ValidationQueue } from './validation-queue.ts'

export type ReplicaStatus = 'IDLE' | 'GENERATING' | 'ERROR'

export interface Replica {
  readonly engine: PocV2Engine
  /** Number under which the reference would list it: a port of the machine it runs on. */
  readonly port: number
  readonly queue: ValidationQueue
  status(): ReplicaStatus
  /** Starts generating; returns at once. The caller has checked that it may. */
  start(stage: StageRecord, nGroups: number, groupId: number): void
  /** Stops within one batch; what was computed is stored. */
  stop(): Promise<void>
  /** Resolves when not generating. */
  untilFree(signal: AbortSignal): Promise<void>
  report(): ReplicaReport
}

export interface ReplicaReport {
  readonly port: number
  readonly status: ReplicaStatus
  readonly config: Readonly<Record<string, unknown>> | null
  readonly stats: { readonly total_processed: number; readonly nonces_per_second: number } | null
}

export interface ReplicaParts {
  readonly engine: PocV2Engine
  readonly port: number
  readonly outbox: Outbox
  readonly log: Log
  readonly onComputed: (nonces: number, seconds: number) => void
  readonly onFailure: () => void
}

/** When a network node asks for batches of 0, which it does by leaving them out. */
const defaultBatchSize = 32

export function isFiniteVector(bytes: Uint8Array): boolean {
  for (let i = 1; i < bytes.length; i += 2) if (((bytes[i] as number) & 0x7c) === 0x7c) return false
  return true
}

/** The replica without its queue: the queue needs untilFree, the replica hands out the queue. */
export function createReplica(parts: ReplicaParts): Omit<Replica, 'queue'> {
  const { engine, outbox, log } = parts
  let active:
    | { stage: StageRecord; nGroups: number; groupId: number; abort: AbortController; done: Promise<void> }
    | undefined
  let processed = 0
  let startedAt = 0
  let failures = 0
  const freed = new Set<() => void>()

  const compute = async (stage: StageRecord, batchSize: number, nonces: readonly number[], signal: AbortSignal) => {
    const artifacts: Artifact[] = []
    for await (const batch of engine.generate(stage, nonces, batchSize, signal)) artifacts.push(...batch.artifacts)
    const usable = artifacts.filter((a) => isFiniteVector(a.vector) && a.nonce <= maxNonce)
    const unusable = artifacts.length - usable.length
    if (unusable > 0) log.warn({ engine: engine.name, count: unusable }, 'artifacts that are not finite left out')
    return usable.map((a) => ({ nonce: a.nonce, payload: a.vector }))
  }

  const generate = (stage: StageRecord, nGroups: number, groupId: number, signal: AbortSignal) => {
    const batchSize = stage.batchSize || defaultBatchSize
    return generateStage(
      {
        ...{ stage, nGroups, groupId, batchSize, outbox, log, name: engine.name },
        compute: (nonces, until) => compute(stage, batchSize, nonces, until),
        onComputed(nonces, seconds) {
          processed += nonces
          parts.onComputed(nonces, seconds)
        },
        onFailures(count) {
          failures = count
          if (count > 0) parts.onFailure()
        },
      },
      signal,
    )
  }

  return {
    engine,
    port: parts.port,
    status() {
      if (active === undefined) return 'IDLE'
      return failures >= errorAfter ? 'ERROR' : 'GENERATING'
    },
    start(stage, nGroups, groupId) {
      const abort = new AbortController()
      processed = 0
      failures = 0
      startedAt = performance.now()
      const done = generate(stage, nGroups, groupId, abort.signal)
        .catch((error: unknown) => {
          log.error({ engine: engine.name, error: messageOf(error) }, 'generation ended unexpectedly')
        })
        .finally(() => {
          active = undefined
          for (const wake of freed) wake()
          freed.clear()
        })
      active = { stage, nGroups, groupId, abort, done }
    },
    async stop() {
      active?.abort.abort()
      await active?.done
    },
    async untilFree(signal) {
      while (active !== undefined) {
        throwIfAborted(signal)
        await new Promise<void>((resolve) => {
          freed.add(resolve)
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
      throwIfAborted(signal)
    },
    report() {
      if (active === undefined) return { port: parts.port, status: 'IDLE', config: null, stats: null }
      const { stage, nGroups, groupId } = active
      const seconds = (performance.now() - startedAt) / 1000
      return {
        port: parts.port,
        status: failures >= errorAfter ? 'ERROR' : 'GENERATING',
        config: {
          block_hash: stage.blockHash,
          block_height: stage.blockHeight,
          node_id: stage.nodeId,
          node_count: stage.nodeCount,
          group_id: groupId,
          n_groups: nGroups,
          seq_len: stage.seqLen,
          k_dim: stage.kDim,
        },
        stats: {
          total_processed: processed,
          nonces_per_second: seconds > 0 ? Math.round((processed / seconds) * 100) / 100 : 0,
        },
      }
    },
  }
}
