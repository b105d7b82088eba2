/** What can be refused about a statement without computing anything. */
import type { ErrorCode } from '../errors.ts'
import { decodeVectorBytes } from '../protocol/artifact-vector.ts'
import { jobProblem, tileSize } from '../protocol/matmul-pow.ts'
import { describeIssues, pocV1ParamsSchema } from '../protocol/params.ts'
import { inPartition, maxNonce, partitionProblem } from '../protocol/partition.ts'
import type { Environment, MatmulPowStatement, Payload, PocV1Statement, PocV2Statement, Statement } from './payload.ts'

export interface Problem {
  readonly code: ErrorCode
  readonly message: string
}

/** Two unit vectors are at most 2 apart; the rest is rounding. */
const maxDistance = 2.000001

/** The first thing wrong with the statement, or undefined. signerHex: lower-case hex of the key that signed. */
export function statementProblem(statement: Statement, signerHex: string): Problem | undefined {
  switch (statement.kind) {
    case 'poc_v1':
      return pocV1Problem(statement, signerHex)
    case 'poc_v2':
      return pocV2Problem(statement, signerHex)
    case 'matmul_pow':
      return matmulPowProblem(statement, signerHex)
  }
}

/** Whether the environment's arithmetic is one in which such a statement is computed. */
export function environmentProblem({ statement, environment }: Payload): Problem | undefined {
  const computed = { poc_v1: ['f32', 'f16'], poc_v2: ['f32', 'f16', 'bf16'], matmul_pow: ['i32'] }[statement.kind]
  if (computed.includes(environment.compute)) {
    return statement.kind === 'poc_v2' ? arithmeticProblem(statement.kDim, environment.compute) : undefined
  }
  return { code: 'ERR_GK_PROOF_PARAMS', message: `${statement.kind} is not computed in ${environment.compute}` }
}

/**
 * Whether vectors of so many values tell a computed one from an invented one, under the tolerance of the arithmetic
 * (recompute-v2.ts): a random unit vector of 12 values lies within 0.4 of another once in 240 000 times, one of 3 values
 * within 0.001 once in four million.
 */
export function arithmeticProblem(kDim: number, compute: Environment['compute']): Problem | undefined {
  const least = compute === 'f32' ? 3 : 12
  if (kDim >= least) return undefined
  const message = `vectors of k_dim ${kDim} prove nothing in ${compute}, where invented ones lie close too often; expected at least ${least}`
  return { code: 'ERR_GK_PROOF_PARAMS', message }
}

function matmulPowProblem(statement: MatmulPowStatement, signerHex: string): Problem | undefined {
  const { m, n, shares, nonces, bi, bj, publicKey } = statement
  const named = Buffer.from(publicKey).toString('hex')
  if (named !== signerHex) {
    return { code: 'ERR_GK_PROOF_KEY', message: `the tickets are those of key ${named}, but ${signerHex} signed them` }
  }
  const job = jobProblem(statement)
  if (job !== undefined) return { code: 'ERR_GK_PROOF_PARAMS', message: job }
  const wrong = (message: string): Problem => ({ code: 'ERR_GK_PROOF_ARTIFACT', message })
  if (nonces.length !== bi.length || nonces.length !== bj.length) return wrong('shares without a nonce or a tile')
  if (nonces.length !== shares) return wrong(`${nonces.length} shares; the job was for ${shares}`)
  const seen = new Set<string>()
  for (const [i, nonce] of nonces.entries()) {
    const [row, column] = [bi[i] as number, bj[i] as number]
    const share = `share (${nonce}, ${row}, ${column})`
    if (row >= m / tileSize || column >= n / tileSize) return wrong(`${share} lies outside ${m} x ${n}`)
    if (seen.has(share)) return { code: 'ERR_GK_PROOF_DUPLICATE_NONCE', message: `${share} is listed more than once` }
    seen.add(share)
  }
  return undefined
}

function pocV1Problem(statement: PocV1Statement, signerHex: string): Problem | undefined {
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

function pocV2Problem(statement: PocV2Statement, signerHex: string): Problem | undefined {
  const { publicKey, seqLen, kDim, searched, nonces, vectors } = statement
  if (publicKey !== signerHex) {
    const named = JSON.stringify(publicKey)
    return { code: 'ERR_GK_PROOF_KEY', message: `the statement is about key ${named}, but ${signerHex} signed it` }
  }
  if (seqLen < 1 || seqLen > 2 ** 20 || kDim < 1 || kDim > 4096) {
    return { code: 'ERR_GK_PROOF_PARAMS', message: `seq_len ${seqLen} or k_dim ${kDim} is out of range` }
  }
  const wrong = (message: string): Problem => ({ code: 'ERR_GK_PROOF_ARTIFACT', message })
  if (nonces.length === 0) return wrong('no artifacts')
  if (searched < BigInt(nonces.length)) return wrong(`${nonces.length} artifacts from ${searched} nonces`)
  if (vectors.length !== 2 * kDim * nonces.length) return wrong(`${nonces.length} nonces, ${vectors.length} bytes`)
  const outside = nonces.find((nonce) => nonce < 0n || nonce > maxNonce)
  if (outside !== undefined) return wrong(`nonce ${outside} is not in 0..2^53-1`)
  for (const [i, nonce] of nonces.entries()) {
    const vector = decodeVectorBytes(vectors.subarray(2 * kDim * i, 2 * kDim * (i + 1)))
    const norm = Math.hypot(...vector)
    // A unit vector in fp16; one of zeros is what a hidden state that overflowed leaves.
    if (!(Math.abs(norm - 1) < 0.01 || norm === 0)) return wrong(`nonce ${nonce}: its vector has length ${norm}`)
  }
  const sorted = nonces.toSorted()
  const twice = sorted.find((nonce, i) => i > 0 && nonce === sorted[i - 1])
  if (twice === undefined) return undefined
  return { code: 'ERR_GK_PROOF_DUPLICATE_NONCE', message: `nonce ${twice} is listed more than once` }
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
