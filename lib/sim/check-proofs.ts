// What a validator checks in another host's artifacts before it recomputes any. Pure.

import { decodeBase64, decodeVectorBytes } from '../protocol/artifact-vector.ts'
import type { ArtifactProof } from '../protocol/proof-request.ts'
import { smstVerify } from '../protocol/smst.ts'

const maxPorosity = 100

/** Why the proofs earn a vote against the host, or undefined if they hold. */
export function proofProblem(
  commit: { readonly count: number; readonly root: Uint8Array },
  indices: readonly number[],
  proofs: readonly ArtifactProof[],
  kDim: number,
): string | undefined {
  const wanted = new Set(indices)
  const nonces = new Set<number>()
  for (const p of proofs) {
    if (!wanted.delete(p.leafIndex)) return `leaf ${p.leafIndex} was not asked for or came twice`
    const vector = decodeBase64(p.vectorBase64)
    if (vector === undefined || vector.length !== 2 * kDim)
      return `vector of leaf ${p.leafIndex} is not ${2 * kDim} bytes`
    if (!decodeVectorBytes(vector).every(Number.isFinite)) return `vector of leaf ${p.leafIndex} is not finite`
    if (nonces.has(p.nonce)) return `nonce ${p.nonce} came twice`
    nonces.add(p.nonce)
    if (Math.abs(p.nonce) / commit.count >= maxPorosity)
      return `nonce ${p.nonce} is too far out for ${commit.count} artifacts`
    const elements = p.proofBase64.map((element) => decodeBase64(element))
    if (elements.some((element) => element === undefined)) return `proof of leaf ${p.leafIndex} is not base64`
    const leaf = { index: p.leafIndex, nonce: p.nonce, vector }
    const wrong = smstVerify(commit, leaf, elements as Uint8Array[])
    if (wrong !== undefined) return `leaf ${p.leafIndex}: ${wrong}`
  }
  return wanted.size > 0 ? `${wanted.size} of ${indices.length} leaves are missing` : undefined
}
