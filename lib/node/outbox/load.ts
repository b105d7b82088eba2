// What an earlier process left in the store, as lanes.
//
// Keys: stage/<id> JSON of the record; chunk/<id>/<seq> artifacts; flight/<id>/<request id> JSON list of chunk numbers.

import { type Lane, newLane } from './lane.ts'
import { chunkCount, type StageRecord } from './stages.ts'
import type { Store } from './store.ts'

export const stageKeyOf = (id: string) => `stage/${id}`
export const chunkKeyOf = (id: string, seq: number) => `chunk/${id}/${String(seq).padStart(10, '0')}`
export const flightKeyOf = (id: string, requestId: string) => `flight/${id}/${requestId}`

export const jsonBytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const parse = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes))

export async function loadLanes(store: Store, maxBatch: number): Promise<Map<string, Lane>> {
  const lanes = new Map<string, Lane>()
  for (const [, bytes] of await store.list('stage/')) {
    const record = parse(bytes) as StageRecord
    lanes.set(record.id, newLane(record, maxBatch))
  }
  for (const [key, bytes] of await store.list('chunk/')) {
    const [, id = '', seq = ''] = key.split('/')
    const lane = lanes.get(id)
    if (lane === undefined) continue
    const count = chunkCount(bytes)
    lane.waiting.push({ seq: Number(seq), count, stored: true, at: performance.now() })
    lane.count += count
  }
  for (const [key, bytes] of await store.list('flight/')) {
    const [, id = '', requestId = ''] = key.split('/')
    const lane = lanes.get(id)
    if (lane === undefined) continue
    const seqs = new Set(parse(bytes) as number[])
    const chunks = lane.waiting.filter((chunk) => seqs.has(chunk.seq))
    if (chunks.length === 0) continue
    lane.waiting = lane.waiting.filter((chunk) => !seqs.has(chunk.seq))
    const count = chunks.reduce((sum, chunk) => sum + chunk.count, 0)
    // The answer may have been lost with the process that waited for it: what follows is a repetition.
    lane.flights.push({ requestId, chunks, count, attempts: 1, failures: 0, notBefore: 0, sending: false })
  }
  return lanes
}
