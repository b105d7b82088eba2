// Which leaves a validator asks a prover for. Both sides must derive the same choice from public data.

import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { goRand } from './go-rand.ts'

export interface LeafSample {
  /** The validator's account key as the chain prints it: lower-case hex of 33 bytes. Hashed as text. */
  readonly validatorPubKey: string
  /** The block hash of the sampling block, opaque text. */
  readonly blockHash: string
  /** The stage key. */
  readonly height: bigint
  readonly modelId: string
  /** Committed number of leaves, 0..2^31-1. */
  readonly count: number
  /** Leaves wanted (validation_sample_size). */
  readonly sampleSize: number
}

function seedOf(text: string): bigint {
  const digest = sha256(utf8ToBytes(text))
  return new DataView(digest.buffer, digest.byteOffset).getBigInt64(0, false)
}

/** Dense leaf indices in the order they are drawn; every index once. All of 0..count-1 if count <= sampleSize. */
export function sampleLeafIndices(sample: LeafSample): number[] {
  const { count, sampleSize } = sample
  if (count <= sampleSize) return Array.from({ length: count }, (_, i) => i)
  const random = goRand(seedOf(`${sample.validatorPubKey}:${sample.blockHash}:${sample.height}:${sample.modelId}`))
  // Partial Fisher-Yates. A map stands for the array 0..count-1, of which only the touched places are stored.
  const moved = new Map<number, number>()
  const at = (i: number) => moved.get(i) ?? i
  const out: number[] = []
  for (let i = 0; i < sampleSize; i++) {
    const j = i + random.intn(count - i)
    const chosen = at(j)
    moved.set(j, at(i))
    moved.set(i, chosen)
    out.push(chosen)
  }
  return out
}

/** The PoC v1 choice: the first `sampleSize` entries of Go's Perm(n), seeded without a model id. */
export function sampleNonceIndicesV1(pubKey: string, blockHash: string, height: bigint, n: number, sampleSize: number) {
  return goRand(seedOf(`${pubKey}:${blockHash}:${height}`))
    .perm(n)
    .slice(0, sampleSize)
}
