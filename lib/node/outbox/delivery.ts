// One delivery: reads a flight's artifacts from the store, posts them, and does what the answer means.

import { messageOf } from '../../errors.ts'
import type { HttpClient } from '../http-client.ts'
import { type Log, loggedUrl } from '../log.ts'
import { generatedBody, meaningOf } from './answer.ts'
import type { Flight, Lane } from './lane.ts'
import type { Ledger } from './ledger.ts'
import { chunkKeyOf } from './load.ts'
import type { OutboxEvents, OutboxSettings } from './settings.ts'
import { decodeChunk, type StoredArtifact } from './stages.ts'
import type { Store } from './store.ts'

export interface DeliveryParts {
  readonly store: Store
  readonly http: HttpClient
  readonly log: Log
  readonly events: OutboxEvents
  readonly ledger: Ledger
  readonly settings: () => OutboxSettings
  /** Milliseconds until nothing of the stage counts any more. */
  readonly remainingMs: (lane: Lane) => number
  readonly signal: AbortSignal
}

/** Delivers once. Never rejects: a failure is a later `notBefore`. */
export async function deliver(parts: DeliveryParts, lane: Lane, flight: Flight): Promise<void> {
  const { events, signal } = parts
  flight.sending = true
  try {
    await attempt(parts, lane, flight)
  } catch (error) {
    if (signal.aborted) return
    events.delivery('retry', 0)
    retry(parts, lane, flight, messageOf(error))
  } finally {
    flight.sending = false
  }
}

async function attempt(parts: DeliveryParts, lane: Lane, flight: Flight): Promise<void> {
  const { store, http, log, events, ledger, signal } = parts
  const { record } = lane
  if (flight.attempts === 0) await ledger.begun(lane, flight)
  const artifacts: StoredArtifact[] = []
  for (const chunk of flight.chunks) {
    const bytes = await store.read(chunkKeyOf(record.id, chunk.seq))
    if (bytes === undefined) throw new Error(`chunk ${chunk.seq} cannot be read`)
    artifacts.push(...decodeChunk(bytes))
  }
  flight.attempts++
  if (flight.attempts > 1) ledger.repeated(lane, flight)
  const started = performance.now()
  const answer = await http.send('POST', `${record.url}/generated`, {
    json: generatedBody(record, flight.requestId, artifacts),
    timeoutMs: parts.settings().timeoutMs,
    signal,
    maxBody: 4096,
  })
  const seconds = (performance.now() - started) / 1000
  const meaning = meaningOf(answer)
  switch (meaning.kind) {
    case 'acknowledged':
      events.delivery('ok', seconds)
      for (const other of lane.flights) other.failures = 0
      return ledger.acknowledged(lane, flight)
    case 'stale':
      events.delivery('dropped', seconds)
      ledger.dropped(lane, flight, meaning.reason)
      if (lane.record.closed === null) ledger.closed(lane, meaning.reason)
      return
    case 'too large':
      if (flight.chunks.length > 1) {
        lane.maxBatch = Math.max(1, Math.floor(flight.count / 2))
        return ledger.dissolved(lane, flight)
      }
      break
    case 'retry':
      events.delivery('retry', seconds)
      return retry(parts, lane, flight, meaning.reason)
    case 'refused':
      break
  }
  events.delivery('dropped', seconds)
  log.error({ stage: record.id, reason: meaning.reason, count: flight.count }, 'the network node refuses a batch')
  ledger.dropped(lane, flight, meaning.reason)
}

function retry(parts: DeliveryParts, lane: Lane, flight: Flight, why: string): void {
  const { record } = lane
  if (record.closed !== null) {
    parts.ledger.dropped(lane, flight, record.closed)
    return
  }
  const { backoffMs, maxBackoffMs } = parts.settings()
  flight.failures++
  const doubled = Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(flight.failures - 1, 20))
  // Jitter keeps nodes that failed together from returning together. A delay never sleeps through the deadline.
  const delay = Math.min(doubled * (0.75 + Math.random() / 2), Math.max(backoffMs, parts.remainingMs(lane) / 4))
  flight.notBefore = performance.now() + delay
  const fields = { stage: record.id, url: loggedUrl(record.url), failures: flight.failures, why }
  const often = flight.failures > 1 && flight.failures % 10 !== 0
  parts.log[often ? 'debug' : 'warn'](fields, 'delivery failed, will be repeated')
}
