/**
 * Commitments to artifact files, and proofs that one artifact is in a commitment: what `artifacts root | prove | verify`
 * does, on values. The tree itself is smst.ts.
 */
import { z } from 'zod'
import { GonkaError } from '../errors.ts'
import type { ArtifactFile } from './artifact-file.ts'
import { decodeBase64 } from './artifact-vector.ts'
import { describeIssues } from './params.ts'
import {
  emptySmst,
  maxDepth,
  type Smst,
  type SmstLeaf,
  type SmstRoot,
  smstIndexOf,
  smstInsert,
  smstProve,
  smstRoot,
  smstVerify,
} from './smst.ts'

export interface ArtifactInclusion {
  readonly committed: SmstRoot
  readonly leaf: SmstLeaf
  /** From the root's children to the leaf: 32 bytes of hash and 4 of count each. */
  readonly proof: readonly Uint8Array[]
}

/** The tree of a file's artifacts. Throws ERR_GK_BATCH naming `origin` and the nonce that does not fit. */
export function artifactTree({ artifacts }: Pick<ArtifactFile, 'artifacts'>, origin: string): Smst {
  let tree = emptySmst
  for (const [nonce, text] of artifacts) {
    const vector = decodeBase64(text)
    if (vector === undefined)
      throw new GonkaError('ERR_GK_BATCH', `${origin}: the vector of nonce ${nonce} is no base64`)
    if (nonce >= 2 ** 32) throw new GonkaError('ERR_GK_BATCH', `${origin}: nonce ${nonce} does not fit 32 bits`)
    const grown = smstInsert(tree, nonce, vector)
    if (grown === undefined) throw new GonkaError('ERR_GK_BATCH', `${origin}: nonce ${nonce} is listed twice`)
    tree = grown
  }
  return tree
}

/** Undefined if the tree has no artifact of that nonce. */
export function proveArtifact(tree: Smst, nonce: number): ArtifactInclusion | undefined {
  const index = smstIndexOf(tree, nonce)
  const found = index === undefined ? undefined : smstProve(tree, index)
  return found && { committed: smstRoot(tree), leaf: found.leaf, proof: found.proof }
}

/**
 * Why the proof does not show what it claims, or undefined. What is known from elsewhere - the root and the count that
 * are on chain - has to agree; without them the proof shows no more than that it fits its own root.
 */
export function inclusionProblem(
  { committed, leaf, proof }: ArtifactInclusion,
  known: { readonly root?: string; readonly count?: number } = {},
): string | undefined {
  const root = hex(committed.root)
  if (known.root !== undefined && known.root.toLowerCase() !== root) return `the proof is of root ${root}`
  if (known.count !== undefined && known.count !== committed.count) {
    return `the proof is of ${committed.count} artifacts`
  }
  return smstVerify(committed, leaf, proof)
}

const hexBytes = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * length}}$`))
const integer = (min: number, max: number) => z.number().int().min(min).max(max)
const schema = z.strictObject({
  count: integer(1, 2 ** 32),
  root: hexBytes(32),
  depth: integer(1, maxDepth),
  leaf: z.strictObject({
    index: integer(0, 2 ** 32 - 1),
    nonce: integer(-(2 ** 31), 2 ** 31 - 1),
    vector_b64: z.string().max(65_536),
  }),
  proof: z.array(hexBytes(36)).max(64),
})
export type ArtifactInclusionJson = z.infer<typeof schema>

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))

/** As `artifacts prove --json` prints it. */
export function formatInclusion({ committed, leaf, proof }: ArtifactInclusion): ArtifactInclusionJson {
  return {
    count: committed.count,
    root: hex(committed.root),
    depth: committed.depth,
    leaf: { index: leaf.index, nonce: leaf.nonce, vector_b64: Buffer.from(leaf.vector).toString('base64') },
    proof: proof.map(hex),
  }
}

/** Reads what formatInclusion made. Throws ERR_GK_BATCH naming `origin` and what is wrong. */
export function parseInclusion(value: unknown, origin: string): ArtifactInclusion {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new GonkaError('ERR_GK_BATCH', `${origin}: ${describeIssues(parsed.error)}`)
  const { count, depth, leaf, proof, root } = parsed.data
  const vector = decodeBase64(leaf.vector_b64)
  if (vector === undefined) throw new GonkaError('ERR_GK_BATCH', `${origin}: leaf.vector_b64 is no base64`)
  return {
    committed: { count, root: bytesOf(root), depth },
    leaf: { index: leaf.index, nonce: leaf.nonce, vector },
    proof: proof.map(bytesOf),
  }
}
