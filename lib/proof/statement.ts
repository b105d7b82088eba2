/** What can be refused about a statement without computing anything. */
import type { ErrorCode } from '../errors.ts'
import { describeIssues, pocV1ParamsSchema } from '../protocol/params.ts'
import { inPartition, maxNonce, partitionProblem } from '../protocol/partition.ts'
import type { PocV1Statement } from './payload.ts'

export interface Problem {
  readonly code: ErrorCode
  readonly message: string
}

/** Two unit vectors are at most 2 apart; the rest is rounding. */
const maxDistance = 2.000001

/** The first thing wrong with the statement, or undefined. signerHex: lower-case hex of the key that signed. */
export function statementProblem(statement: PocV1Statement, signerHex: string): Problem | undefined {
  if (statement.publicKey !== signerHex) {
    const named = JSON.stringify(statement.publicKey)
    return { code: 'ERR_GK_PROOF_KEY', message: `the statement is about key ${named}, but ${signerHex} signed it` }
  }
  const params = pocV1ParamsSchema.safeParse(statement.params)
  if (!params.success) return { code: 'ERR_GK_PROOF_PARAMS', message: `params: ${describeIssues(params.error)}` }
  const partition = partitionProblem(statement.partition)
  if (partition !== undefined) return { code: 'ERR_GK_PROOF_PARTITION', message: partition }
  return artifactProblem(statement)
}

function artifactProblem({ nonces, dist, partition, rTarget, searched }: PocV1Statement): Problem | undefined {
  const wrong = (message: string): Problem => ({ code: 'ERR_GK_PROOF_ARTIFACT', message })
  if (nonces.length === 0) return wrong('no artifacts')
  if (nonces.length !== dist.length) return wrong(`${nonces.length} nonces but ${dist.length} distances`)
  if (rTarget !== undefined && !(rTarget > 0 && rTarget <= maxDistance)) {
    return wrong(`r_target ${rTarget} is not in (0, 2]`)
  }
  if (rTarget === undefined ? searched !== BigInt(nonces.length) : searched < BigInt(nonces.length)) {
    return wrong(`${nonces.length} artifacts from ${searched} nonces`)
  }
  for (let i = 0; i < nonces.length; i++) {
    const nonce = nonces[i] as bigint
    const distance = dist[i] as number
    if (nonce < 0n || nonce > maxNonce) return wrong(`nonce ${nonce} is not in 0..2^53-1`)
    if (!(distance >= 0 && distance <= maxDistance)) return wrong(`nonce ${nonce}: distance ${distance} is not in 0..2`)
    if (rTarget !== undefined && !(distance < rTarget)) {
      return wrong(`nonce ${nonce}: distance ${distance} is not below r_target ${rTarget}`)
    }
    if (!inPartition(nonce, partition)) {
      const { nodeId, nodeCount, groupId, groupCount } = partition
      const owner = `node ${nodeId} of ${nodeCount}, group ${groupId} of ${groupCount}`
      return { code: 'ERR_GK_PROOF_PARTITION', message: `nonce ${nonce} does not belong to ${owner}` }
    }
  }
  const sorted = nonces.toSorted()
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i] === sorted[i - 1]) {
      return { code: 'ERR_GK_PROOF_DUPLICATE_NONCE', message: `nonce ${sorted[i]} is listed more than once` }
    }
  }
  return undefined
}
