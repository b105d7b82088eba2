// Counting and forgetting: what becomes of artifacts, in memory, in the events and in one atomic write each.

import type { Log } from '../log.ts'
import { type Chunk, countOf, dissolveFlight, emptyLane, type Flight, type Lane, removeFlight } from './lane.ts'
import { chunkKeyOf, flightKeyOf, jsonBytes, stageKeyOf } from './load.ts'
import type { OutboxEvents } from './settings.ts'
import type { StageRecord } from './stages.ts'
import type { Store } from './store.ts'

type Entries = (readonly [key: string, value: Uint8Array | null])[]

export interface Ledger {
  /** Stores the flight, so that a restart repeats it as the same batch. */
  begun(lane: Lane, flight: Flight): Promise<void>
  repeated(lane: Lane, flight: Flight): void
  acknowledged(lane: Lane, flight: Flight): Promise<void>
  dropped(lane: Lane, flight: Flight, reason: string): void
  dissolved(lane: Lane, flight: Flight): Promise<void>
  /** Ends a stage and drops what waits. Flights on their way are left to their answers. */
  closed(lane: Lane, reason: string): void
  /** Artifacts that came after their stage was closed. */
  refusedByClosed(record: StageRecord, count: number): void
}

export function createLedger(store: Store, log: Log, events: OutboxEvents): Ledger {
  const forget = (record: StageRecord, chunks: readonly Chunk[], flights: readonly Flight[]): Entries => [
    ...chunks.map((chunk) => [chunkKeyOf(record.id, chunk.seq), null] as const),
    ...flights.map((flight) => [flightKeyOf(record.id, flight.requestId), null] as const),
    [stageKeyOf(record.id), jsonBytes(record)],
  ]

  const countDropped = (record: StageRecord, count: number, reason: string) => {
    if (count === 0) return
    record.dropped += count
    record.droppedBy[reason] = (record.droppedBy[reason] ?? 0) + count
    events.dropped(record.kind, count, reason)
    log.warn({ stage: record.id, height: record.blockHeight, count, reason }, 'artifacts dropped')
  }

  return {
    begun: (lane, flight) =>
      store.offer([
        [flightKeyOf(lane.record.id, flight.requestId), jsonBytes(flight.chunks.map((chunk) => chunk.seq))],
      ]),
    repeated({ record }, flight) {
      record.redelivered += flight.count
      events.redelivered(flight.count)
    },
    acknowledged(lane, flight) {
      const { record } = lane
      removeFlight(lane, flight)
      record.acknowledged += flight.count
      events.acknowledged(record.kind, flight.count)
      return store.offer(forget(record, flight.chunks, [flight]))
    },
    dropped(lane, flight, reason) {
      removeFlight(lane, flight)
      countDropped(lane.record, flight.count, reason)
      void store.write(forget(lane.record, flight.chunks, [flight]))
    },
    dissolved(lane, flight) {
      dissolveFlight(lane, flight)
      return store.offer([[flightKeyOf(lane.record.id, flight.requestId), null]])
    },
    closed(lane, reason) {
      const { record } = lane
      record.closed = reason
      record.generating = false
      const { chunks, flights } = emptyLane(lane)
      countDropped(record, countOf(chunks), reason)
      void store.write(forget(record, chunks, flights))
    },
    refusedByClosed(record, count) {
      countDropped(record, count, record.closed ?? 'closed')
    },
  }
}
