/** Verification: form, signature, statement, and a sample of the claimed distances computed anew. */
import { addressOf } from '../chain/keys.ts'
import { GonkaError, throwIfAborted } from '../errors.ts'
import type { NativeDevice, PocV1Params } from '../native-api.ts'
import { paramsFields } from '../protocol/params.ts'
import { decodePayload, decodeProofFile } from './codec.ts'
import type { Payload, PocV1Statement } from './payload.ts'
import { drawSample } from './sample.ts'
import { hasValidSignature } from './sign.ts'
import { type Problem, statementProblem } from './statement.ts'

/** What the verifier already knows; a proof of something else is refused. */
export interface Expectations {
  /** Hex of the compressed key. */
  readonly publicKey?: string
  readonly blockHash?: string
  readonly params?: PocV1Params
}

export interface VerifyOptions {
  /** Where to compute. Called only once everything else has been found right. */
  readonly device: () => Promise<NativeDevice>
  /** How many distances to compute anew, drawn after the file has been read; 32 if absent. */
  readonly sample?: number | 'all'
  readonly expect?: Expectations
  /** Stage and its fraction 0..1. */
  readonly onProgress?: (text: string, fraction: number) => void
  readonly signal?: AbortSignal
}

export interface Recomputation {
  readonly computed: number
  readonly mismatches: number
  /** Largest difference to the claim. */
  readonly maxDifference: number
  /** Differences up to this count as equal. */
  readonly tolerance: number
  readonly seconds: number
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

/** Claimed and recomputed with fp32 arithmetic: measured differences stay below 2.1e-7. */
const toleranceF32 = 1e-6
/** Either side with fp16 activations: measured differences stay below 8.7e-5. */
const toleranceF16 = 2e-4

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
    statementProblem(payload.statement, signerHex) ?? expectationProblem(payload.statement, options.expect)
  if (problem) return { ...signed, problem }
  const recomputation = await recompute(payload, options)
  if (recomputation.mismatches === 0) return { ...signed, valid: true, problem: undefined, recomputation }
  return {
    ...signed,
    recomputation,
    problem: {
      code: 'ERR_GK_PROOF_DISTANCE',
      message:
        `${recomputation.mismatches} of ${recomputation.computed} recomputed distances differ from the claim by more ` +
        `than ${recomputation.tolerance} (largest difference ${recomputation.maxDifference.toPrecision(3)})`,
    },
  }
}

function expectationProblem(statement: PocV1Statement, expect: Expectations = {}): Problem | undefined {
  if (expect.publicKey !== undefined && expect.publicKey !== statement.publicKey) {
    return { code: 'ERR_GK_PROOF_KEY', message: `signed by ${statement.publicKey}; expected ${expect.publicKey}` }
  }
  if (expect.blockHash !== undefined && expect.blockHash !== statement.blockHash) {
    const [is, wanted] = [JSON.stringify(statement.blockHash), JSON.stringify(expect.blockHash)]
    return { code: 'ERR_GK_PROOF_PARAMS', message: `block hash ${is}; expected ${wanted}` }
  }
  const { params } = expect
  const field = params && paramsFields.find((name) => params[name] !== statement.params[name])
  if (!params || !field) return undefined
  return { code: 'ERR_GK_PROOF_PARAMS', message: `${field} is ${statement.params[field]}; expected ${params[field]}` }
}

async function recompute(payload: Payload, options: VerifyOptions): Promise<Recomputation> {
  const { statement, environment } = payload
  const { signal, onProgress } = options
  const total = statement.nonces.length
  const wanted = options.sample ?? defaultSample
  if (wanted !== 'all' && !(Number.isInteger(wanted) && wanted > 0)) {
    throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `sample ${wanted} is neither a positive integer nor "all"`)
  }
  const indices = drawSample(total, wanted === 'all' ? total : wanted)
  const device = await options.device()
  throwIfAborted(signal)
  const started = performance.now()
  const session = await device.pocV1Open(
    { params: statement.params, blockHash: statement.blockHash },
    (fraction, step) => onProgress?.(step, fraction),
    signal,
  )
  try {
    const recomputed: number[] = []
    await session.run(
      {
        publicKey: statement.publicKey,
        nonces: BigInt64Array.from(indices, (i) => statement.nonces[i] as bigint),
      },
      (_nonces, dist) => {
        for (const distance of dist) recomputed.push(distance)
        onProgress?.(
          `recomputed ${recomputed.length} of ${indices.length} distances`,
          recomputed.length / indices.length,
        )
      },
      signal,
    )
    throwIfAborted(signal)
    if (recomputed.length !== indices.length) {
      throw new GonkaError('ERR_GK_INTERNAL', `${recomputed.length} distances came back for ${indices.length} nonces`)
    }
    const single = environment.compute === 'f32' && session.compute === 'f32'
    const tolerance = single ? toleranceF32 : toleranceF16
    const differences = indices.map((index, i) =>
      Math.abs((recomputed[i] as number) - (statement.dist[index] as number)),
    )
    return {
      computed: indices.length,
      // A distance that is not a number equals no claim.
      mismatches: differences.filter((difference) => !(difference <= tolerance)).length,
      maxDifference: differences.reduce((a, b) => (Number.isNaN(b) || b > a ? b : a), 0),
      tolerance,
      seconds: (performance.now() - started) / 1000,
    }
  } finally {
    await session.close()
  }
}
