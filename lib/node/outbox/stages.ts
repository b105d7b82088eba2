// What the outbox knows about a stage: its identity, which nonces were generated, which artifacts wait, what became of
// them. Plain data and pure functions; the outbox moves them.

import { createHash } from 'node:crypto'
import type { StageInstant } from '../stage-clock.ts'
import { lastCallMs, type StageLimits } from './settings.ts'

export type StageKind = 'v1' | 'v2'

/** What makes two stages different. */
export interface StageKey {
  readonly kind: StageKind
  /** Callback base, verbatim; null: artifacts are computed and counted, not delivered. */
  readonly url: string | null
  readonly blockHash: string
  readonly blockHeight: number
  readonly publicKey: string
  readonly nodeId: number
  readonly nodeCount: number
  /** v2: what else enters the artifacts. v1: the parameters' digest. */
  readonly model: string
  readonly seqLen: number
  readonly kDim: number
  readonly strongerRng: boolean
}

/** Numbers 0 .. next-1 of the sequence groupId + x * nGroups are generated. */
export interface Cursor {
  readonly nGroups: number
  readonly groupId: number
  next: number
}

export interface StageRecord extends StageKey {
  readonly id: string
  readonly started: StageInstant
  readonly deadlineMs: number
  /** Generation ends this long after the start; delivery goes on until the deadline. */
  readonly generationMs: number
  /** Continue generating after a restart. */
  generating: boolean
  readonly batchSize: number
  cursors: Cursor[]
  /** Artifacts stored. */
  generated: number
  acknowledged: number
  dropped: number
  droppedBy: Record<string, number>
  /** Artifacts sent again under the request id of a batch whose answer was lost. */
  redelivered: number
  /** Set when nothing of this stage can count any more. */
  closed: string | null
  nextChunk: number
}

/** A stage that begins now. One that was closed and is asked for again continues behind what it had generated. */
export function newRecord(
  key: StageKey,
  id: string,
  batchSize: number,
  started: StageInstant,
  limits: StageLimits,
  earlier: StageRecord | undefined,
): StageRecord {
  const { deadlineMs } = limits
  return {
    ...key,
    id,
    started,
    deadlineMs,
    generationMs: Math.min(limits.generationMs, deadlineMs - lastCallMs(deadlineMs)),
    generating: false,
    batchSize,
    cursors: earlier?.cursors ?? [],
    generated: earlier?.generated ?? 0,
    acknowledged: earlier?.acknowledged ?? 0,
    dropped: earlier?.dropped ?? 0,
    droppedBy: earlier?.droppedBy ?? {},
    redelivered: earlier?.redelivered ?? 0,
    closed: null,
    nextChunk: earlier?.nextChunk ?? 0,
  }
}

export function stageId(key: StageKey): string {
  const parts = [
    key.kind,
    key.url ?? '',
    key.blockHash,
    key.blockHeight,
    key.publicKey,
    key.nodeId,
    key.nodeCount,
    key.model,
    key.seqLen,
    key.kDim,
    key.strongerRng,
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 24)
}

/** True if number i of the node's sequence (nonce = nodeId + i * nodeCount) was generated under any layout of groups. */
export function isGenerated(cursors: readonly Cursor[], i: number): boolean {
  return cursors.some((c) => i % c.nGroups === c.groupId && (i - c.groupId) / c.nGroups < c.next)
}

export interface NoncePlan {
  /** Nonces to compute, ascending. */
  readonly nonces: number[]
  /** Value of the cursor's `next` once they are stored. */
  readonly next: number
}

/** The next `count` nonces of a group that no layout has generated yet; fewer at the end of the nonce space (int32). */
export function planNonces(
  stage: Pick<StageRecord, 'nodeId' | 'nodeCount' | 'cursors'>,
  nGroups: number,
  groupId: number,
  from: number,
  count: number,
): NoncePlan {
  const others = stage.cursors.filter((c) => c.nGroups !== nGroups || c.groupId !== groupId)
  const nonces: number[] = []
  let x = from
  // Skipping is bounded per call so that a long run of foreign numbers cannot block the event loop.
  for (let steps = 0; nonces.length < count && steps < 100_000; steps++, x++) {
    const i = groupId + x * nGroups
    const nonce = stage.nodeId + i * stage.nodeCount
    if (nonce > 0x7fffffff) break
    if (!isGenerated(others, i)) nonces.push(nonce)
  }
  return { nonces, next: x }
}

export function cursorOf(stage: StageRecord, nGroups: number, groupId: number): Cursor {
  let cursor = stage.cursors.find((c) => c.nGroups === nGroups && c.groupId === groupId)
  if (cursor === undefined) {
    cursor = { nGroups, groupId, next: 0 }
    stage.cursors.push(cursor)
  }
  return cursor
}

/** One stored result: 4 fp16 words and more (v2 vector) or one fp64 (v1 distance), as bytes. */
export interface StoredArtifact {
  readonly nonce: number
  readonly payload: Uint8Array
}

/** A v1 distance as payload: fp64, little endian. */
export function distanceBytes(distance: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, distance, true)
  return bytes
}

export function distanceOf({ payload }: StoredArtifact): number {
  return new DataView(payload.buffer, payload.byteOffset).getFloat64(0, true)
}

/** Chunk layout, little endian: u32 count, then per artifact f64 nonce, u16 length, payload. */
export function encodeChunk(artifacts: readonly StoredArtifact[]): Uint8Array {
  const size = artifacts.reduce((sum, a) => sum + 10 + a.payload.length, 4)
  const out = new Uint8Array(size)
  const view = new DataView(out.buffer)
  view.setUint32(0, artifacts.length, true)
  let at = 4
  for (const { nonce, payload } of artifacts) {
    view.setFloat64(at, nonce, true)
    view.setUint16(at + 8, payload.length, true)
    out.set(payload, at + 10)
    at += 10 + payload.length
  }
  return out
}

/** Throws RangeError on bytes that are no chunk. */
export function decodeChunk(bytes: Uint8Array): StoredArtifact[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out: StoredArtifact[] = []
  const count = view.getUint32(0, true)
  let at = 4
  for (let i = 0; i < count; i++) {
    const length = view.getUint16(at + 8, true)
    if (at + 10 + length > bytes.length) throw new RangeError('chunk ends in the middle of an artifact')
    out.push({ nonce: view.getFloat64(at, true), payload: bytes.slice(at + 10, at + 10 + length) })
    at += 10 + length
  }
  return out
}

/** Number of artifacts in a chunk without decoding it. */
export function chunkCount(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true)
}
