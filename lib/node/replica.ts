// One engine at work: generates its share of a stage's nonces, and computes given nonces when it does not.

import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, throwIfAborted } from '../errors.ts'
import type { Artifact, PocV2Engine, PocV2Job } from './engine.ts'
import type { Log } from './log.ts'
import type { Outbox } from './outbox.ts'
import { cursorOf, planNonces, type StageRecord } from './stages.ts'
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

const errorAfter = 5

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

  const job = (stage: StageRecord): PocV2Job => stage

  const generate = async (stage: StageRecord, nGroups: number, groupId: number, signal: AbortSignal) => {
    let next = cursorOf(stage, nGroups, groupId).next
    let stored: Promise<void> = Promise.resolve()
    while (!signal.aborted && !outbox.isOver(stage)) {
      const batchSize = stage.batchSize || 32
      const plan = planNonces(stage, nGroups, groupId, next, batchSize)
      if (plan.nonces.length === 0) {
        if (plan.next === next) {
          log.warn({ stage: stage.id }, 'the nonce space of this node is exhausted')
          break
        }
        next = plan.next
        continue
      }
      const begin = performance.now()
      const artifacts: Artifact[] = []
      try {
        for await (const batch of engine.generate(job(stage), plan.nonces, batchSize, signal)) {
          artifacts.push(...batch.artifacts)
        }
        failures = 0
      } catch (error) {
        if (signal.aborted) break
        // The same nonces again, as the reference does: a failed call has produced nothing.
        failures++
        parts.onFailure()
        const delay = Math.min(5000, 100 * 2 ** (failures - 1))
        log[failures === errorAfter ? 'error' : 'warn'](
          { engine: engine.name, failures, error: messageOf(error) },
          'generation failed, the nonces will be computed again',
        )
        await sleep(delay, undefined, { signal }).catch(() => undefined)
        continue
      }
      processed += plan.nonces.length
      parts.onComputed(plan.nonces.length, (performance.now() - begin) / 1000)
      const usable = artifacts.filter((a) => isFiniteVector(a.vector) && a.nonce <= 0x7fffffff)
      if (usable.length < artifacts.length) {
        log.warn(
          { engine: engine.name, count: artifacts.length - usable.length },
          'artifacts that are not finite left out',
        )
      }
      // The next batch computes while this one is written, never more than one ahead of the disk.
      await stored
      next = plan.next
      stored = outbox.append(
        stage,
        nGroups,
        groupId,
        next,
        usable.map((a) => ({ nonce: a.nonce, payload: a.vector })),
      )
    }
    await stored
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
