// The sparse Merkle sum tree that commits a participant to its artifacts of one stage and model.
//
// leaf data = nonce (LE uint32) || vector; leaf = SHA256(00 || data); inner = SHA256(01 || left || right || LE32(count));
// an empty subtree of height i hashes to empty[i]. The path is the nonce's bits, most significant first. The tree starts
// 24 levels deep and grows on the left when a nonce needs more bits. Counts in the nodes make the rank of a leaf provable.

import { sha256 } from '@noble/hashes/sha2.js'

export const minDepth = 24
export const maxDepth = 32
const hashBytes = 32
const proofElementBytes = hashBytes + 4

interface Node {
  readonly left: Node | undefined
  readonly right: Node | undefined
  readonly count: number
  hash: Uint8Array | undefined
  readonly data?: Uint8Array
}

/** A committed state: what goes on chain, and what proofs are checked against. */
export interface SmstRoot {
  readonly count: number
  readonly root: Uint8Array
  readonly depth: number
}

export interface SmstLeaf {
  /** Rank by unsigned nonce. */
  readonly index: number
  /** int32: leaves above 2^31-1 print as negative. */
  readonly nonce: number
  readonly vector: Uint8Array
}

function hashLeaf(data: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(1 + data.length)
  buffer.set(data, 1)
  return sha256(buffer)
}

function hashInner(left: Uint8Array, right: Uint8Array, count: number): Uint8Array {
  const buffer = new Uint8Array(1 + 2 * hashBytes + 4)
  buffer[0] = 1
  buffer.set(left, 1)
  buffer.set(right, 1 + hashBytes)
  new DataView(buffer.buffer).setUint32(1 + 2 * hashBytes, count, true)
  return sha256(buffer)
}

const emptyHashes: Uint8Array[] = [sha256(Uint8Array.of(0))]
for (let i = 1; i <= maxDepth; i++) {
  emptyHashes.push(hashInner(emptyHashes[i - 1] as Uint8Array, emptyHashes[i - 1] as Uint8Array, 0))
}

function hashOf(node: Node | undefined, height: number): Uint8Array {
  if (node === undefined) return emptyHashes[height] as Uint8Array
  node.hash ??=
    node.data !== undefined
      ? hashLeaf(node.data)
      : hashInner(hashOf(node.left, height - 1), hashOf(node.right, height - 1), node.count)
  return node.hash
}

/** The bytes a leaf commits to. `nonce` is an int32 (negative ones wrap to the top of the unsigned range). */
export function leafData(nonce: number, vector: Uint8Array): Uint8Array {
  const data = new Uint8Array(4 + vector.length)
  new DataView(data.buffer).setUint32(0, nonce >>> 0, true)
  data.set(vector, 4)
  return data
}

function depthFor(nonce: number): number {
  return Math.max(minDepth, 32 - Math.clz32(nonce))
}

/** The tree is a value: `insert` returns a new one that shares what did not change, so an old root stays provable as
 *  long as somebody holds it. Hashes are computed when first asked for. Not thread-bound; no I/O. */
export interface Smst {
  readonly root: Node | undefined
  readonly depth: number
}

export const emptySmst: Smst = { root: undefined, depth: minDepth }

function insertAt(node: Node | undefined, height: number, nonce: number, leaf: Node): Node | undefined {
  if (height === 0) return node === undefined ? leaf : undefined
  const right = ((nonce >>> (height - 1)) & 1) === 1
  const child = insertAt(right ? node?.right : node?.left, height - 1, nonce, leaf)
  if (child === undefined) return undefined
  const left = right ? node?.left : child
  return {
    left,
    right: right ? child : node?.right,
    count: (node?.count ?? 0) + 1,
    hash: undefined,
  }
}

/** Adds one artifact; undefined if the nonce is already present (duplicates are refused, whatever their vector). */
export function smstInsert(tree: Smst, nonce: number, vector: Uint8Array): Smst | undefined {
  const unsigned = nonce >>> 0
  let { root, depth } = tree
  for (const wanted = depthFor(unsigned); depth < wanted; depth++) {
    if (root !== undefined) root = { left: root, right: undefined, count: root.count, hash: undefined }
  }
  const leaf: Node = { left: undefined, right: undefined, count: 1, hash: undefined, data: leafData(nonce, vector) }
  const grown = insertAt(root, depth, unsigned, leaf)
  return grown === undefined ? undefined : { root: grown, depth }
}

export function smstRoot(tree: Smst): SmstRoot {
  return { count: tree.root?.count ?? 0, root: hashOf(tree.root, tree.depth), depth: tree.depth }
}

function leafOf(index: number, node: Node): SmstLeaf {
  const data = node.data as Uint8Array
  const nonce = new DataView(data.buffer, data.byteOffset).getInt32(0, true)
  return { index, nonce, vector: data.subarray(4) }
}

/** The leaf of a given rank with its proof: `depth` elements from the root down, each sibling hash || LE32(sibling count).
 *  Undefined if the rank is out of range. */
export function smstProve(tree: Smst, index: number): { leaf: SmstLeaf; proof: Uint8Array[] } | undefined {
  if (!Number.isInteger(index) || index < 0 || index >= (tree.root?.count ?? 0)) return undefined
  const proof: Uint8Array[] = []
  let node = tree.root as Node
  let rank = index
  for (let height = tree.depth; height > 0; height--) {
    const leftCount = node.left?.count ?? 0
    const goRight = rank >= leftCount
    if (goRight) rank -= leftCount
    const sibling = goRight ? node.left : node.right
    const element = new Uint8Array(proofElementBytes)
    element.set(hashOf(sibling, height - 1))
    new DataView(element.buffer).setUint32(hashBytes, sibling?.count ?? 0, true)
    proof.push(element)
    node = (goRight ? node.right : node.left) as Node
  }
  return { leaf: leafOf(index, node), proof }
}

/** The rank of a nonce, undefined if absent. */
export function smstIndexOf(tree: Smst, nonce: number): number | undefined {
  const unsigned = nonce >>> 0
  if (tree.depth < 32 && unsigned >>> tree.depth !== 0) return undefined
  let node = tree.root
  let rank = 0
  for (let height = tree.depth; height > 0 && node !== undefined; height--) {
    const right = ((unsigned >>> (height - 1)) & 1) === 1
    if (right) rank += node.left?.count ?? 0
    node = right ? node.right : node.left
  }
  return node === undefined ? undefined : rank
}

/** Why a proof does not convince, or undefined if it does. Nothing in `leaf` and `proof` is trusted.
 *  `committed.depth` is compared only where the chain stores it (since v0.2.16): pass undefined otherwise. */
export function smstVerify(
  committed: { readonly count: number; readonly root: Uint8Array; readonly depth?: number | undefined },
  leaf: SmstLeaf,
  proof: readonly Uint8Array[],
): string | undefined {
  const depth = proof.length
  if (depth < minDepth || depth > maxDepth) return `proof has ${depth} elements, expected ${minDepth} to ${maxDepth}`
  if (committed.depth !== undefined && committed.depth !== depth) {
    return `proof has ${depth} elements but the committed tree is ${committed.depth} deep`
  }
  const unsigned = leaf.nonce >>> 0
  if (depth < 32 && unsigned >>> depth !== 0) return `nonce ${leaf.nonce} does not fit a path of ${depth} bits`
  let hash = hashLeaf(leafData(leaf.nonce, leaf.vector))
  let count = 1
  let rank = 0
  for (let height = 1; height <= depth; height++) {
    const element = proof[depth - height] as Uint8Array
    if (element.length !== proofElementBytes) return `proof element is ${element.length} bytes, expected 36`
    const sibling = element.subarray(0, hashBytes)
    const siblingCount = new DataView(element.buffer, element.byteOffset).getUint32(hashBytes, true)
    const right = ((unsigned >>> (height - 1)) & 1) === 1
    count += siblingCount
    if (count > 0xffffffff) return 'proof counts overflow'
    if (right) rank += siblingCount
    hash = right ? hashInner(sibling, hash, count) : hashInner(hash, sibling, count)
  }
  if (count !== committed.count) return `proof sums to ${count} leaves, committed are ${committed.count}`
  if (rank !== leaf.index) return `leaf has rank ${rank}, requested was ${leaf.index}`
  for (let i = 0; i < hashBytes; i++)
    if (hash[i] !== committed.root[i]) return 'proof does not lead to the committed root'
  return undefined
}
