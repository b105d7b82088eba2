/** Verification: form, signature, statement, and a sample of the claim computed anew. */
import { addressOf } from '../chain/keys.ts'
import { GonkaError } from '../errors.ts'
import type { NativeDevice, PocV1Params } from '../native-api.ts'
import { paramsFields } from '../protocol/params.ts'
import { decodePayload, decodeProofFile } from './codec.ts'
import type { Payload, Statement } from './payload.ts'
import { type Recomputation, recomputeDistances } from './recompute.ts'
import { type CheckShares, recomputeTickets } from './recompute-tickets.ts'
import { modelProblem, recomputeVectors } from './recompute-v2.ts'
import { drawSample } from './sample.ts'
import { hasValidSignature } from './sign.ts'
import { environmentProblem, type Problem, statementProblem } from './statement.ts'

/** What the verifier already knows; a proof of something else is refused. */
export interface Expectations {
  /** Hex of the compressed key. */
  readonly publicKey?: string
  readonly blockHash?: string
  readonly params?: PocV1Params
  /** Hex of a matmul-pow challenge. */
  readonly challenge?: string
}

export interface VerifyOptions {
  /** Where PoC distances and vectors are computed. Called only once everything else has been found right. */
  readonly device: () => Promise<NativeDevice>
  /** How many distances or shares to compute anew, drawn after the file has been read; 32 if absent. */
  readonly sample?: number | 'all'
  /** How shares of matmul-pow are recomputed; in plain JavaScript, some 0.1 s each, if absent. */
  readonly checkShares?: CheckShares
  /** Where the model of a PoC v2 proof lies, and how its digest is found. */
  readonly model?: ModelFiles
  readonly expect?: Expectations
  /** Stage and its fraction 0..1. */
  readonly onProgress?: (text: string, fraction: number) => void
  readonly signal?: AbortSignal
}

export interface ModelFiles {
  readonly directory: string
  digest(directory: string): Promise<string>
}

export interface VerifyResult {
  readonly valid: boolean
  /** Why not; undefined if valid. */
  readonly problem: Problem | undefined
  readonly publicKey: Uint8Array
  readonly address: string
  /** undefined if the signature is wrong: then nobody has said it. */
  readonly payload: Payload | undefined
  /** undefined if the proof was refused before. */
  readonly recomputation: Recomputation | undefined
}

export const defaultSample = 32

/**
 * Throws ERR_GK_PROOF_UNREADABLE if bytes are no proof file, and whatever the device throws; every other defect is a
 * result that says so.
 */
export async function verifyProof(bytes: Uint8Array, options: VerifyOptions): Promise<VerifyResult> {
  const file = decodeProofFile(bytes)
  const result = {
    valid: false,
    publicKey: file.publicKey,
    address: '',
    payload: undefined,
    recomputation: undefined,
  }
  if (!hasValidSignature(file)) {
    const problem: Problem = {
      code: 'ERR_GK_PROOF_SIGNATURE',
      message: 'the signature does not belong to payload and key',
    }
    return { ...result, problem }
  }
  const payload = decodePayload(file.payload)
  const signed = { ...result, address: addressOf(file.publicKey), payload }
  const signerHex = Buffer.from(file.publicKey).toString('hex')
  const problem =
    statementProblem(payload.statement, signerHex) ??
    environmentProblem(payload) ??
    expectationProblem(payload.statement, signerHex, options.expect) ??
    (payload.statement.kind === 'poc_v2' ? await modelProblem(payload.statement, options.model) : undefined)
  if (problem) return { ...signed, problem }
  const recomputation = await recompute(payload, options)
  if (recomputation.mismatches === 0) return { ...signed, valid: true, problem: undefined, recomputation }
  return {
    ...signed,
    recomputation,
    problem: { code: 'ERR_GK_PROOF_DISTANCE', message: describeMismatch(recomputation) },
  }
}

function describeMismatch({ kind, mismatches, computed, tolerance, maxDifference }: Recomputation): string {
  if (kind === 'matmul_pow')
    return `${mismatches} of ${computed} recomputed shares have a ticket that is not below the target`
  if (kind === 'poc_v2') {
    const by = `further than ${tolerance} (largest distance ${maxDifference.toPrecision(3)})`
    return `${mismatches} of ${computed} recomputed vectors lie ${by} from the claim`
  }
  const by = `by more than ${tolerance} (largest difference ${maxDifference.toPrecision(3)})`
  return `${mismatches} of ${computed} recomputed distances differ from the claim ${by}`
}

function expectationProblem(statement: Statement, signerHex: string, expect: Expectations = {}): Problem | undefined {
  const wrong = (message: string): Problem => ({ code: 'ERR_GK_PROOF_PARAMS', message })
  if (expect.publicKey !== undefined && expect.publicKey !== signerHex) {
    return { code: 'ERR_GK_PROOF_KEY', message: `signed by ${signerHex}; expected ${expect.publicKey}` }
  }
  if (statement.kind === 'matmul_pow') {
    if (expect.blockHash !== undefined || expect.params) return wrong('a matmul-pow proof; expected one of PoC v1')
    const challenge = Buffer.from(statement.challenge).toString('hex')
    if (expect.challenge === undefined || expect.challenge === challenge) return undefined
    return wrong(`challenge ${challenge}; expected ${expect.challenge}`)
  }
  if (expect.challenge !== undefined) return wrong('a PoC proof; expected one of matmul-pow')
  if (expect.blockHash !== undefined && expect.blockHash !== statement.blockHash) {
    return wrong(`block hash ${JSON.stringify(statement.blockHash)}; expected ${JSON.stringify(expect.blockHash)}`)
  }
  const { params } = expect
  if (statement.kind === 'poc_v2') return params ? wrong('a PoC v2 proof; expected one of PoC v1') : undefined
  const field = params && paramsFields.find((name) => params[name] !== statement.params[name])
  return params && field ? wrong(`${field} is ${statement.params[field]}; expected ${params[field]}`) : undefined
}

function recompute({ statement, environment }: Payload, options: VerifyOptions): Promise<Recomputation> {
  const wanted = options.sample ?? defaultSample
  if (wanted !== 'all' && !(Number.isInteger(wanted) && wanted > 0)) {
    throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `sample ${wanted} is neither a positive integer nor "all"`)
  }
  const total = statement.nonces.length
  const indices = drawSample(total, wanted === 'all' ? total : wanted)
  switch (statement.kind) {
    case 'poc_v1':
      return recomputeDistances(statement, environment, indices, options)
    case 'poc_v2':
      return recomputeVectors(statement, environment, indices, options)
    case 'matmul_pow':
      return recomputeTickets(statement, indices, options)
  }
}
