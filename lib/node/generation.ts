// The loop of a group that generates: plan nonces, compute them, store what came of it, until the stage is over.

import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import type { Log } from './log.ts'
import type { Outbox } from './outbox/outbox.ts'
import { cursorOf, planNonces, type StageRecord, type StoredArtifact } from './outbox/stages.ts'

export interface Generation {
  readonly stage: StageRecord
  readonly nGroups: number
  readonly groupId: number
  /** Nonces computed between two looks at the outside. */
  readonly batchSize: number
  readonly outbox: Outbox
  readonly log: Log
  /** Engine, for the log. */
  readonly name: string
  /** Results of the nonces that have one. Rejects if the batch must be computed again. */
  readonly compute: (nonces: readonly number[], signal: AbortSignal) => Promise<readonly StoredArtifact[]>
  readonly onComputed: (nonces: number, seconds: number) => void
  /** Called with the number of failures in a row, 0 after a success. */
  readonly onFailures: (failures: number) => void
}

/** This many failures in a row make an engine count as broken. */
export const errorAfter = 5

/** Nonces computed and not yet on disk, at most, unless a single batch is larger. */
const maxUnwritten = 1024

/** Resolves within one batch of an abort; what was computed is then stored. */
export async function generateStage(generation: Generation, signal: AbortSignal): Promise<void> {
  const { stage, nGroups, groupId, batchSize, outbox, log, name, onComputed, onFailures } = generation
  let next = cursorOf(stage, nGroups, groupId).next
  let failures = 0
  const unwritten: { readonly nonces: number; readonly done: Promise<void> }[] = []
  const tooMany = () => unwritten.reduce((sum, write) => sum + write.nonces, 0) > maxUnwritten
  while (!signal.aborted && !outbox.isOver(stage)) {
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
    let artifacts: readonly StoredArtifact[]
    try {
      artifacts = await generation.compute(plan.nonces, signal)
    } catch (error) {
      if (signal.aborted) break
      // The same nonces again, as the reference does: a failed call has produced nothing.
      failures++
      onFailures(failures)
      const fields = { engine: name, failures, error: messageOf(error) }
      log[failures === errorAfter ? 'error' : 'warn'](fields, 'a batch failed and will be computed again')
      await sleep(Math.min(5000, 100 * 2 ** (failures - 1)), undefined, { signal }).catch(() => undefined)
      continue
    }
    if (failures > 0) onFailures(0)
    failures = 0
    onComputed(plan.nonces.length, (performance.now() - begin) / 1000)
    // Batches compute while earlier ones are written: a disk that takes a tenth of a second for each flush, as one that
    // others use does, would otherwise set the pace.
    next = plan.next
    const done = outbox.append(stage, nGroups, groupId, next, artifacts)
    done.catch(() => undefined) // seen by whoever waits for it below
    unwritten.push({ nonces: plan.nonces.length, done })
    while (unwritten.length > 1 && tooMany()) await unwritten.shift()?.done
  }
  for (const { done } of unwritten) await done
}
