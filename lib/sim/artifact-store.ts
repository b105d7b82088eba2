// A network node's artifacts of one stage: a tree that grows, and the committed trees that proofs are served for.

import { createHash } from 'node:crypto'
import { emptySmst, type Smst, smstInsert, smstRoot } from '../protocol/smst.ts'

export interface ArtifactStore {
  /** Adds what is new; returns how many were. Nonces are taken as int32. */
  add(artifacts: readonly { readonly nonce: number; readonly vector: Uint8Array }[]): number
  readonly count: number
  /** Freezes the present tree for proofs and returns its root. */
  flush(): { count: number; root: Uint8Array; tree: Smst }
  /** The tree of a committed state; undefined if it was never flushed. */
  at(count: number, rootHex: string): Smst | undefined
  readonly flushed: boolean
}

export function createArtifactStore(): ArtifactStore {
  let tree = emptySmst
  const flushed = new Map<string, Smst>()
  const key = (count: number, rootHex: string) => `${count}/${rootHex}`
  return {
    add(artifacts) {
      let added = 0
      for (const { nonce, vector } of artifacts) {
        const next = smstInsert(tree, nonce | 0, vector)
        if (next === undefined) continue
        tree = next
        added++
      }
      return added
    },
    get count() {
      return tree.root?.count ?? 0
    },
    flush() {
      const { count, root } = smstRoot(tree)
      flushed.set(key(count, Buffer.from(root).toString('hex')), tree)
      return { count, root, tree }
    },
    at: (count, rootHex) => flushed.get(key(count, rootHex)),
    get flushed() {
      return flushed.size > 0
    },
  }
}

/** Vectors nobody computed: 12 fp16 values near 0.29, so that the lie passes every check of form. */
export function forgedVector(nonce: number): Uint8Array {
  const digest = createHash('sha256').update(`forged ${nonce}`).digest()
  const out = new Uint8Array(24)
  for (let i = 0; i < 12; i++) {
    out[2 * i] = digest[i] as number
    // 0x34.. is between 0.25 and 0.5; the top bit is the sign.
    out[2 * i + 1] = 0x34 | ((digest[12 + i] as number) & 0x80)
  }
  return out
}
