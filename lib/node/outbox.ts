// The outbox: artifacts are on disk before anything is told to anyone, delivered in batches, retried until their stage's
// deadline, and forgotten only when the network node has acknowledged or refused them.
//
// Keys: stage/<id> JSON; chunk/<id>/<seq> artifacts; flight/<id> JSON {requestId, seqs}: the batch being delivered. A
// batch keeps its request id across retries and restarts, so a delivery whose answer was lost is repeated as the same
// batch and never mixed into a new one. Acknowledging deletes chunks and flight and counts them in one atomic write.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import { encodingOf, type GeneratedBody } from '../protocol/wire-v2.ts'
import type { HttpClient } from './http-client.ts'
import { type Log, loggedUrl } from './log.ts'
import type { StageClock } from './stage-clock.ts'
import {
  chunkCount,
  cursorOf,
  decodeChunk,
  encodeChunk,
  type StageKey,
  type StageRecord,
  type StoredArtifact,
  stageId,
} from './stages.ts'
import type { Store } from './store.ts'

export interface OutboxSettings {
  /** Artifacts are gathered this long before a batch goes out. */
  readonly intervalMs: number
  /** Most artifacts in one delivery. */
  readonly maxBatch: number
  readonly timeoutMs: number
  /** First delay after a failed delivery; doubles up to the other. */
  readonly backoffMs: number
  readonly maxBackoffMs: number
  /** Deliveries at a time. */
  readonly concurrency: number
  /** Memory for artifacts that a failing disk keeps from being stored, bytes. Generation waits beyond. */
  readonly maxPendingBytes: number
}

export const defaultOutboxSettings: OutboxSettings = {
  intervalMs: 1000,
  maxBatch: 5000,
  timeoutMs: 10_000,
  backoffMs: 500,
  maxBackoffMs: 10_000,
  concurrency: 8,
  maxPendingBytes: 64 * 2 ** 20,
}

export interface OutboxEvents {
  generated(kind: string, count: number): void
  acknowledged(kind: string, count: number): void
  dropped(kind: string, count: number, reason: string): void
  delivery(outcome: 'ok' | 'retry' | 'dropped', seconds: number): void
  redelivered(count: number): void
}

/** Counted from the stage's start, milliseconds. */
export interface StageLimits {
  /** Nothing is delivered any more. */
  readonly deadlineMs: number
  /** Nothing is generated any more; at most the deadline. */
  readonly generationMs: number
}

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

interface Chunk {
  readonly seq: number
  readonly count: number
  stored: boolean
  readonly at: number
}
interface Lane {
  readonly record: StageRecord
  chunks: Chunk[]
  count: number
  flight: { requestId: string; seqs: number[]; attempts: number } | undefined
  sending: boolean
  urgent: boolean
  failures: number
  notBefore: number
  maxBatch: number
}

const maxChunk = 500
const keptStages = 64
const staleStage = /not the active PoC stage/i

export interface OutboxParts {
  readonly store: Store
  readonly http: HttpClient
  readonly clock: StageClock
  readonly log: Log
  readonly events: OutboxEvents
}

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const chunkKey = (id: string, seq: number) => `chunk/${id}/${String(seq).padStart(10, '0')}`

/** Reads what an earlier process left and starts delivering. */
export async function openOutbox(parts: OutboxParts, given: Partial<OutboxSettings> = {}): Promise<Outbox> {
  const { store, http, clock, log, events } = parts
  let settings: OutboxSettings = { ...defaultOutboxSettings, ...given }
  const lanes = new Map<string, Lane>()
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()
  let timer: NodeJS.Timeout | undefined

  const newLane = (record: StageRecord): Lane => ({
    record,
    chunks: [],
    count: 0,
    flight: undefined,
    sending: false,
    urgent: false,
    failures: 0,
    notBefore: 0,
    maxBatch: settings.maxBatch,
  })

  const decoder = new TextDecoder()
  for (const [, bytes] of await store.list('stage/')) {
    const record = JSON.parse(decoder.decode(bytes)) as StageRecord
    lanes.set(record.id, newLane(record))
  }
  for (const [key, bytes] of await store.list('chunk/')) {
    const [, id = '', seq = ''] = key.split('/')
    const lane = lanes.get(id)
    if (lane === undefined) continue
    const chunk = { seq: Number(seq), count: chunkCount(bytes), stored: true, at: performance.now() }
    lane.chunks.push(chunk)
    lane.count += chunk.count
  }
  for (const [key, bytes] of await store.list('flight/')) {
    const lane = lanes.get(key.slice('flight/'.length))
    const flight = JSON.parse(decoder.decode(bytes)) as { requestId: string; seqs: number[] }
    // The answer may have been lost with the process that waited for it: this is a repetition.
    if (lane !== undefined) lane.flight = { ...flight, attempts: 1 }
  }

  const isExpired = (record: StageRecord) => record.closed !== null || clock.since(record.started) >= record.deadlineMs
  const isOver = (record: StageRecord) => record.closed !== null || clock.since(record.started) >= record.generationMs

  const drop = (lane: Lane, chunks: readonly Chunk[], reason: string) => {
    const { record } = lane
    const gone = new Set(chunks.map((c) => c.seq))
    const count = chunks.reduce((sum, c) => sum + c.count, 0)
    lane.chunks = lane.chunks.filter((c) => !gone.has(c.seq))
    lane.count -= count
    lane.flight = undefined
    record.dropped += count
    if (count > 0) record.droppedBy[reason] = (record.droppedBy[reason] ?? 0) + count
    events.dropped(record.kind, count, reason)
    if (count > 0) log.warn({ stage: record.id, height: record.blockHeight, count, reason }, 'artifacts dropped')
    void store.write([
      ...chunks.map((c) => [chunkKey(record.id, c.seq), null] as const),
      [`flight/${record.id}`, null],
      [`stage/${record.id}`, json(record)],
    ])
  }

  const closeStage = (lane: Lane, reason: string) => {
    lane.record.closed = reason
    lane.record.generating = false
    drop(lane, lane.chunks, reason)
  }

  /** Resolves when written, or at once while the disk fails: deliveries must not wait for a disk that may never return. */
  const durable = async (entries: Parameters<Store['write']>[0]) => {
    let written = false
    const done = store.write(entries).then(() => {
      written = true
    })
    while (!written) {
      await Promise.race([done, sleep(100, undefined, { ref: false })])
      if (store.health().degraded) return
    }
  }

  const bodyOf = (record: StageRecord, requestId: string, artifacts: readonly StoredArtifact[]): unknown => {
    const common = {
      block_hash: record.blockHash,
      block_height: record.blockHeight,
      public_key: record.publicKey,
      node_id: record.nodeId,
    }
    if (record.kind === 'v1') {
      const dist = artifacts.map((a) => new DataView(a.payload.buffer, a.payload.byteOffset).getFloat64(0, true))
      return { ...common, nonces: artifacts.map((a) => a.nonce), dist }
    }
    const body: GeneratedBody = {
      ...common,
      artifacts: artifacts.map((a) => ({ nonce: a.nonce, vector_b64: Buffer.from(a.payload).toString('base64') })),
      encoding: encodingOf(record.kDim),
      request_id: requestId,
    }
    return body
  }

  const takeFlight = async (lane: Lane): Promise<Chunk[]> => {
    const degraded = store.health().degraded
    if (lane.flight !== undefined) {
      const seqs = new Set(lane.flight.seqs)
      return lane.chunks.filter((c) => seqs.has(c.seq))
    }
    const chunks: Chunk[] = []
    let count = 0
    for (const chunk of lane.chunks) {
      if (!chunk.stored && !degraded) break
      if (chunks.length > 0 && count + chunk.count > lane.maxBatch) break
      chunks.push(chunk)
      count += chunk.count
    }
    if (chunks.length === 0) return chunks
    const flight = { requestId: randomUUID(), seqs: chunks.map((c) => c.seq) }
    lane.flight = { ...flight, attempts: 0 }
    await durable([[`flight/${lane.record.id}`, json(flight)]])
    return chunks
  }

  const retry = (lane: Lane, why: string) => {
    lane.failures++
    const delay = Math.min(settings.maxBackoffMs, settings.backoffMs * 2 ** Math.min(lane.failures - 1, 20))
    // Jitter keeps nodes that failed together from returning together.
    lane.notBefore = performance.now() + delay * (0.75 + Math.random() / 2)
    const fields = { stage: lane.record.id, url: loggedUrl(lane.record.url), failures: lane.failures, why }
    if (lane.failures === 1 || lane.failures % 10 === 0) log.warn(fields, 'delivery failed, will be repeated')
    else log.debug(fields, 'delivery failed, will be repeated')
  }

  const deliver = async (lane: Lane): Promise<void> => {
    const { record } = lane
    const chunks = await takeFlight(lane)
    const { flight } = lane
    if (chunks.length === 0 || flight === undefined) {
      lane.flight = undefined
      return
    }
    const artifacts: StoredArtifact[] = []
    for (const chunk of chunks) {
      const bytes = await store.read(chunkKey(record.id, chunk.seq))
      if (bytes === undefined) throw new Error(`chunk ${chunk.seq} cannot be read`)
      artifacts.push(...decodeChunk(bytes))
    }
    flight.attempts++
    if (flight.attempts > 1) {
      record.redelivered += artifacts.length
      events.redelivered(artifacts.length)
    }
    const started = performance.now()
    const answer = await http.send('POST', `${record.url}/generated`, {
      json: bodyOf(record, flight.requestId, artifacts),
      timeoutMs: settings.timeoutMs,
      signal: stopping.signal,
      maxBody: 4096,
    })
    const seconds = (performance.now() - started) / 1000
    if (answer.status >= 200 && answer.status < 400) {
      const gone = new Set(chunks.map((c) => c.seq))
      lane.chunks = lane.chunks.filter((c) => !gone.has(c.seq))
      lane.count -= artifacts.length
      lane.flight = undefined
      lane.failures = 0
      lane.notBefore = 0
      record.acknowledged += artifacts.length
      events.acknowledged(record.kind, artifacts.length)
      events.delivery('ok', seconds)
      await durable([
        ...chunks.map((c) => [chunkKey(record.id, c.seq), null] as const),
        [`flight/${record.id}`, null],
        [`stage/${record.id}`, json(record)],
      ])
      return
    }
    const reason = `${answer.status} ${reasonOf(answer.body)}`
    if (answer.status === 400 && staleStage.test(answer.body)) {
      events.delivery('dropped', seconds)
      closeStage(lane, reason)
    } else if (answer.status === 413 && chunks.length > 1) {
      lane.maxBatch = Math.max(1, Math.floor(artifacts.length / 2))
      lane.flight = undefined
      await durable([[`flight/${record.id}`, null]])
    } else if (answer.status === 400 || answer.status === 413 || answer.status === 422) {
      events.delivery('dropped', seconds)
      log.error({ stage: record.id, reason, count: artifacts.length }, 'the network node refuses a batch')
      drop(lane, chunks, reason)
    } else {
      events.delivery('retry', seconds)
      retry(lane, reason)
    }
  }

  const isDue = (lane: Lane, now: number): boolean => {
    const first = lane.chunks[0]
    if (lane.sending || first === undefined || now < lane.notBefore) return false
    if (!first.stored && !store.health().degraded) return false
    return (
      lane.urgent ||
      lane.flight !== undefined ||
      !lane.record.generating ||
      lane.count >= lane.maxBatch ||
      now - first.at >= settings.intervalMs
    )
  }

  /** What still counts goes first: stages being generated, then the newest. */
  const byWorth = (a: Lane, b: Lane) =>
    Number(b.record.generating) - Number(a.record.generating) || b.record.blockHeight - a.record.blockHeight

  const pump = () => {
    if (stopping.signal.aborted) return
    for (const lane of lanes.values()) {
      if (lane.record.closed === null && !lane.sending && isExpired(lane.record)) {
        closeStage(lane, lane.count > 0 ? 'deadline' : 'complete')
      }
    }
    const now = performance.now()
    const due = [...lanes.values()].filter((lane) => isDue(lane, now)).sort(byWorth)
    for (const lane of due) {
      if (running.size >= settings.concurrency) break
      lane.sending = true
      const task = deliver(lane)
        .catch((error: unknown) => {
          if (stopping.signal.aborted) return
          events.delivery('retry', 0)
          retry(lane, messageOf(error))
        })
        .finally(() => {
          lane.sending = false
          running.delete(task)
          setImmediate(pump)
        })
      running.add(task)
    }
    schedule()
  }

  const schedule = () => {
    clearTimeout(timer)
    if (stopping.signal.aborted) return
    let soonest = 1000
    const now = performance.now()
    for (const lane of lanes.values()) {
      const first = lane.chunks[0]
      if (first === undefined || lane.sending) continue
      soonest = Math.min(soonest, Math.max(first.at + settings.intervalMs, lane.notBefore) - now)
    }
    timer = setTimeout(pump, Math.max(10, soonest))
    timer.unref()
  }

  const forgetOldStages = () => {
    const closed = [...lanes.values()].filter((lane) => lane.record.closed !== null && lane.chunks.length === 0)
    closed.sort((a, b) => a.record.started.wallMs - b.record.started.wallMs)
    for (const lane of closed.slice(0, Math.max(0, closed.length - keptStages))) {
      lanes.delete(lane.record.id)
      void store.write([[`stage/${lane.record.id}`, null]])
    }
  }

  pump()
  return {
    openStage(key, batchSize, limits) {
      const id = stageId(key)
      const existing = lanes.get(id)
      if (existing !== undefined && !isExpired(existing.record)) return existing.record
      if (existing !== undefined && existing.record.closed === null) closeStage(lanes.get(id) as Lane, 'deadline')
      forgetOldStages()
      const record: StageRecord = {
        ...key,
        id,
        started: clock.now(),
        deadlineMs: limits.deadlineMs,
        generationMs: Math.min(limits.generationMs, limits.deadlineMs),
        generating: false,
        batchSize,
        // A stage that was closed and is asked for again continues behind what it had generated.
        cursors: existing?.record.cursors ?? [],
        generated: existing?.record.generated ?? 0,
        acknowledged: existing?.record.acknowledged ?? 0,
        dropped: existing?.record.dropped ?? 0,
        droppedBy: existing?.record.droppedBy ?? {},
        redelivered: existing?.record.redelivered ?? 0,
        closed: null,
        nextChunk: existing?.record.nextChunk ?? 0,
      }
      lanes.set(id, newLane(record))
      void store.write([[`stage/${id}`, json(record)]])
      return record
    },
    stage: (id) => lanes.get(id)?.record,
    stages: () => [...lanes.values()].map((lane) => lane.record),
    async append(record, nGroups, groupId, next, artifacts) {
      const lane = lanes.get(record.id)
      if (lane === undefined) return
      cursorOf(record, nGroups, groupId).next = next
      record.generated += artifacts.length
      events.generated(record.kind, artifacts.length)
      const entries: [string, Uint8Array][] = []
      const added: Chunk[] = []
      for (let at = 0; at < artifacts.length && record.url !== null; at += maxChunk) {
        const part = artifacts.slice(at, at + maxChunk)
        const chunk = { seq: record.nextChunk++, count: part.length, stored: false, at: performance.now() }
        entries.push([chunkKey(record.id, chunk.seq), encodeChunk(part)])
        added.push(chunk)
      }
      if (record.closed === null) {
        lane.chunks.push(...added)
        for (const chunk of added) lane.count += chunk.count
      } else if (added.length > 0) {
        entries.length = 0
        record.dropped += artifacts.length
        record.droppedBy[record.closed] = (record.droppedBy[record.closed] ?? 0) + artifacts.length
        events.dropped(record.kind, artifacts.length, record.closed)
      }
      entries.push([`stage/${record.id}`, json(record)])
      let written = false
      const done = store.write(entries).then(() => {
        written = true
        for (const chunk of added) chunk.stored = true
        schedule()
      })
      while (!written) {
        await Promise.race([done, sleep(100, undefined, { ref: false })])
        const { degraded, pendingBytes } = store.health()
        if (!written && degraded && pendingBytes < settings.maxPendingBytes) break
      }
      if (lane.count >= lane.maxBatch) setImmediate(pump)
    },
    async setGenerating(record, generating) {
      record.generating = generating
      await durable([[`stage/${record.id}`, json(record)]])
      setImmediate(pump)
    },
    async flush(record, maxMs) {
      const lane = lanes.get(record.id)
      if (lane === undefined) return
      const end = performance.now() + maxMs
      lane.urgent = true
      pump()
      while (lane.count > 0 && performance.now() < end && !stopping.signal.aborted) {
        await sleep(20, undefined, { ref: false })
        if (!lane.sending) pump()
      }
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

/** One line of an answer's body, for logs and counters. */
function reasonOf(body: string): string {
  let text = body
  try {
    const parsed = JSON.parse(body) as { error?: unknown; detail?: unknown; message?: unknown }
    const found = parsed.error ?? parsed.detail ?? parsed.message
    if (typeof found === 'string') text = found
  } catch {
    // Not JSON: the text itself is the reason.
  }
  return text.replace(/\s+/g, ' ').trim().slice(0, 120)
}
