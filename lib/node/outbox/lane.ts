// The work of one stage: chunks that wait, and flights: batches being delivered. A flight keeps its chunks and its request
// id across retries and restarts, so a delivery whose answer was lost is repeated as the same batch and never mixed into a
// new one. Several flights of a lane may be on their way; the receiver keeps artifacts as a set, so order means nothing.

import { randomUUID } from 'node:crypto'
import type { StageRecord } from './stages.ts'

export interface Chunk {
  readonly seq: number
  /** Artifacts in it. */
  readonly count: number
  stored: boolean
  /** When it was appended, by performance.now(). */
  readonly at: number
}

export interface Flight {
  readonly requestId: string
  readonly chunks: readonly Chunk[]
  readonly count: number
  /** Deliveries begun. */
  attempts: number
  /** Failed deliveries since the last success. */
  failures: number
  notBefore: number
  sending: boolean
}

export interface Lane {
  /** Another object after a closed stage was opened again. */
  record: StageRecord
  /** In no flight yet, oldest first. */
  waiting: Chunk[]
  flights: Flight[]
  /** Artifacts neither acknowledged nor dropped. */
  count: number
  /** Everything is to go now: a stop waits for it. */
  urgent: boolean
  /** Artifacts a flight may hold; shrinks when the receiver finds batches too large. */
  maxBatch: number
  /** Called when nothing is left. */
  readonly drained: Set<() => void>
}

export function newLane(record: StageRecord, maxBatch: number): Lane {
  return { record, waiting: [], flights: [], count: 0, urgent: false, maxBatch, drained: new Set() }
}

export const countOf = (chunks: readonly Chunk[]): number => chunks.reduce((sum, chunk) => sum + chunk.count, 0)

/** Takes chunks off the waiting list for a new flight; undefined if none may go. Chunks that are not stored may go only
 *  while the disk fails. */
export function takeFlight(lane: Lane, degraded: boolean): Flight | undefined {
  const chunks: Chunk[] = []
  let count = 0
  for (const chunk of lane.waiting) {
    if (!chunk.stored && !degraded) break
    if (chunks.length > 0 && count + chunk.count > lane.maxBatch) break
    chunks.push(chunk)
    count += chunk.count
  }
  if (chunks.length === 0) return undefined
  lane.waiting.splice(0, chunks.length)
  const flight = { requestId: randomUUID(), chunks, count, attempts: 0, failures: 0, notBefore: 0, sending: false }
  lane.flights.push(flight)
  return flight
}

/** The flight is over: acknowledged or dropped. */
export function removeFlight(lane: Lane, flight: Flight): void {
  lane.flights = lane.flights.filter((other) => other !== flight)
  lane.count -= flight.count
  settleDrained(lane)
}

/** The flight was refused as a whole for its size: its chunks wait again, in front. */
export function dissolveFlight(lane: Lane, flight: Flight): void {
  lane.flights = lane.flights.filter((other) => other !== flight)
  lane.waiting.unshift(...flight.chunks)
}

/** Everything leaves the lane but the flights that are on their way; returns what it was. */
export function emptyLane(lane: Lane): { chunks: Chunk[]; flights: Flight[] } {
  const flights = lane.flights.filter((flight) => !flight.sending)
  const chunks = [...flights.flatMap((flight) => flight.chunks), ...lane.waiting]
  lane.flights = lane.flights.filter((flight) => flight.sending)
  lane.waiting = []
  lane.count = lane.flights.reduce((sum, flight) => sum + flight.count, 0)
  settleDrained(lane)
  return { chunks, flights }
}

function settleDrained(lane: Lane): void {
  if (lane.count > 0) return
  for (const done of lane.drained) done()
  lane.drained.clear()
}

export interface Pace {
  /** Artifacts are gathered this long before a flight starts. */
  readonly intervalMs: number
  /** Flights of one lane that may be open while all goes well. */
  readonly flightsPerStage: number
}

/** Whether a new flight may start now. While a delivery fails, one flight probes and the rest waits, so that a server in
 *  trouble is not pressed; in the last call before the deadline everything is offered once, whatever failed before. */
export function mayStart(lane: Lane, now: number, pace: Pace, lastCall: boolean): boolean {
  const first = lane.waiting[0]
  if (first === undefined) return false
  if (lastCall) return true
  if (lane.flights.length >= pace.flightsPerStage || lane.flights.some((flight) => flight.failures > 0)) return false
  return (
    lane.urgent ||
    !lane.record.generating ||
    countOf(lane.waiting) >= lane.maxBatch ||
    now - first.at >= pace.intervalMs
  )
}

/** What still counts goes first: stages being generated, then the newest. */
export function byWorth(a: Lane, b: Lane): number {
  return Number(b.record.generating) - Number(a.record.generating) || b.record.blockHeight - a.record.blockHeight
}
