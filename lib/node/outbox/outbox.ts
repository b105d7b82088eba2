// The outbox: artifacts are on disk before anything is told to anyone, delivered in batches, retried until their stage's
// deadline, and forgotten only when the network node has acknowledged or refused them. Acknowledging deletes chunks and
// flight and counts them in one atomic write.

import { setTimeout as sleep } from 'node:timers/promises'
import type { HttpClient } from '../http-client.ts'
import type { Log } from '../log.ts'
import type { StageClock } from '../stage-clock.ts'
import { type DeliveryParts, deliver } from './delivery.ts'
import { byWorth, type Chunk, type Flight, type Lane, mayStart, newLane, takeFlight } from './lane.ts'
import { createLedger } from './ledger.ts'
import { chunkKeyOf, jsonBytes, loadLanes, stageKeyOf } from './load.ts'
import {
  defaultOutboxSettings,
  lastCallMs,
  type OutboxEvents,
  type OutboxSettings,
  type StageLimits,
} from './settings.ts'
import {
  cursorOf,
  encodeChunk,
  newRecord,
  type StageKey,
  type StageRecord,
  type StoredArtifact,
  stageId,
} from './stages.ts'
import type { Store } from './store.ts'

export interface Outbox {
  /** The stage, found or new. Reopening an old one continues it: what was generated is not generated again. */
  openStage(key: StageKey, batchSize: number, limits: StageLimits): StageRecord
  stage(id: string): StageRecord | undefined
  stages(): readonly StageRecord[]
  /** Stores results and moves the group's cursor, atomically. Resolves when they are on disk, or kept in memory by a disk
   *  that fails; waits while too much is kept that way. */
  append(
    stage: StageRecord,
    nGroups: number,
    groupId: number,
    next: number,
    artifacts: readonly StoredArtifact[],
  ): Promise<void>
  setGenerating(stage: StageRecord, generating: boolean): Promise<void>
  /** Delivers what waits without gathering further; resolves when all is delivered or dropped, or after maxMs. */
  flush(stage: StageRecord, maxMs: number): Promise<void>
  /** Nothing of this stage may be generated any more: closed, or past the limit of generation. */
  isOver(stage: StageRecord): boolean
  /** Artifacts waiting. */
  waiting(stage?: StageRecord): number
  /** Replaces settings that may change while running. */
  configure(settings: Partial<OutboxSettings>): void
  close(): Promise<void>
}

const maxChunk = 500
const keptStages = 64

export interface OutboxParts {
  readonly store: Store
  readonly http: HttpClient
  readonly clock: StageClock
  readonly log: Log
  readonly events: OutboxEvents
}

/** Reads what an earlier process left and starts delivering. */
export async function openOutbox(parts: OutboxParts, given: Partial<OutboxSettings> = {}): Promise<Outbox> {
  const { store, http, clock, log, events } = parts
  let settings: OutboxSettings = { ...defaultOutboxSettings, ...given }
  const lanes = await loadLanes(store, settings.maxBatch)
  const ledger = createLedger(store, log, events)
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()
  let timer: NodeJS.Timeout | undefined

  const remainingMs = ({ record }: Lane) => record.deadlineMs - clock.since(record.started)
  const isExpired = (record: StageRecord) => record.closed !== null || clock.since(record.started) >= record.deadlineMs
  const isOver = (record: StageRecord) => record.closed !== null || clock.since(record.started) >= record.generationMs
  const delivery: DeliveryParts = {
    ...{ store, http, log, events, ledger, remainingMs },
    settings: () => settings,
    signal: stopping.signal,
  }

  const send = (lane: Lane, flight: Flight) => {
    const task = deliver(delivery, lane, flight).finally(() => {
      running.delete(task)
      setImmediate(pump)
    })
    running.add(task)
  }

  const pump = () => {
    if (stopping.signal.aborted) return
    for (const lane of lanes.values()) {
      if (lane.record.closed === null && isExpired(lane.record)) {
        ledger.closed(lane, lane.count > 0 ? 'deadline' : 'complete')
      }
    }
    const now = performance.now()
    const { degraded } = store.health()
    for (const lane of [...lanes.values()].sort(byWorth)) {
      if (running.size >= settings.concurrency) break
      if (lane.count === 0) continue
      const lastCall = remainingMs(lane) <= lastCallMs(lane.record.deadlineMs)
      for (const flight of lane.flights) {
        if (running.size >= settings.concurrency) break
        if (!flight.sending && now >= flight.notBefore) send(lane, flight)
      }
      while (running.size < settings.concurrency && mayStart(lane, now, settings, lastCall)) {
        const flight = takeFlight(lane, degraded)
        if (flight === undefined) break
        send(lane, flight)
      }
    }
    schedule()
  }

  const schedule = () => {
    clearTimeout(timer)
    if (stopping.signal.aborted) return
    let soonest = 1000
    const now = performance.now()
    for (const lane of lanes.values()) {
      if (lane.record.closed === null) {
        const remaining = remainingMs(lane)
        const lastCall = remaining - lastCallMs(lane.record.deadlineMs)
        soonest = Math.min(soonest, lane.count > 0 && lastCall > 0 ? lastCall : remaining)
      }
      const first = lane.waiting[0]
      if (first !== undefined) soonest = Math.min(soonest, first.at + settings.intervalMs - now)
      for (const flight of lane.flights) if (!flight.sending) soonest = Math.min(soonest, flight.notBefore - now)
    }
    timer = setTimeout(pump, Math.max(10, soonest))
    timer.unref()
  }

  const forgetOldStages = () => {
    const closed = [...lanes.values()].filter((lane) => lane.record.closed !== null && lane.count === 0)
    closed.sort((a, b) => a.record.started.wallMs - b.record.started.wallMs)
    for (const lane of closed.slice(0, Math.max(0, closed.length - keptStages))) {
      lanes.delete(lane.record.id)
      void store.write([[stageKeyOf(lane.record.id), null]])
    }
  }

  pump()
  return {
    openStage(key, batchSize, limits) {
      const id = stageId(key)
      const existing = lanes.get(id)
      if (existing !== undefined && !isExpired(existing.record)) return existing.record
      if (existing !== undefined && existing.record.closed === null) ledger.closed(existing, 'deadline')
      forgetOldStages()
      const record = newRecord(key, id, batchSize, clock.now(), limits, existing?.record)
      // A reopened lane keeps its flights: their answers are still to come.
      if (existing === undefined) lanes.set(id, newLane(record, settings.maxBatch))
      else existing.record = record
      void store.write([[stageKeyOf(id), jsonBytes(record)]])
      return record
    },
    stage: (id) => lanes.get(id)?.record,
    stages: () => [...lanes.values()].map((lane) => lane.record),
    async append(stage, nGroups, groupId, next, artifacts) {
      const lane = lanes.get(stage.id)
      if (lane === undefined) return
      // Not `stage`: it may have been closed and reopened since it was handed out.
      const { record } = lane
      cursorOf(record, nGroups, groupId).next = next
      record.generated += artifacts.length
      events.generated(record.kind, artifacts.length)
      const entries: [string, Uint8Array][] = []
      const added: Chunk[] = []
      for (let at = 0; at < artifacts.length && record.url !== null && record.closed === null; at += maxChunk) {
        const part = artifacts.slice(at, at + maxChunk)
        const chunk = { seq: record.nextChunk++, count: part.length, stored: false, at: performance.now() }
        entries.push([chunkKeyOf(record.id, chunk.seq), encodeChunk(part)])
        added.push(chunk)
        lane.count += part.length
      }
      lane.waiting.push(...added)
      if (record.closed !== null && record.url !== null) ledger.refusedByClosed(record, artifacts.length)
      entries.push([stageKeyOf(record.id), jsonBytes(record)])
      const written = store.write(entries).then(() => {
        for (const chunk of added) chunk.stored = true
        schedule()
      })
      written.catch(() => undefined)
      await store.offer([])
      const tooMuch = () => store.health().degraded && store.health().pendingBytes >= settings.maxPendingBytes
      while (tooMuch() && !stopping.signal.aborted) await Promise.race([written, sleep(100, undefined, { ref: false })])
      if (lane.count >= lane.maxBatch) setImmediate(pump)
    },
    async setGenerating(record, generating) {
      record.generating = generating
      await store.offer([[stageKeyOf(record.id), jsonBytes(record)]])
      setImmediate(pump)
    },
    async flush(record, maxMs) {
      const lane = lanes.get(record.id)
      if (lane === undefined || lane.count === 0 || stopping.signal.aborted) return
      lane.urgent = true
      await new Promise<void>((resolve) => {
        const limit = setTimeout(done, maxMs)
        function done() {
          clearTimeout(limit)
          lane?.drained.delete(done)
          stopping.signal.removeEventListener('abort', done)
          resolve()
        }
        lane.drained.add(done)
        stopping.signal.addEventListener('abort', done)
        pump()
      })
      lane.urgent = false
    },
    isOver,
    waiting(record) {
      if (record !== undefined) return lanes.get(record.id)?.count ?? 0
      let total = 0
      for (const lane of lanes.values()) total += lane.count
      return total
    },
    configure(changed) {
      settings = { ...settings, ...changed }
      for (const lane of lanes.values()) lane.maxBatch = Math.min(lane.maxBatch, settings.maxBatch)
    },
    async close() {
      stopping.abort()
      clearTimeout(timer)
      await Promise.allSettled(running)
    },
  }
}
