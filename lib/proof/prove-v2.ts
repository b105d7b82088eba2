/** Proofs of PoC v2 rounds. */
import type { Key } from '../chain/key-file.ts'
import { GonkaError } from '../errors.ts'
import type { NativeApi, NativeDevice, PocV2Rng } from '../native-api.ts'
import { runPocV2 } from '../poc-v2.ts'
import { energyNotAvailable, limits, type Payload, type PocV2Statement } from './payload.ts'
import { environmentOf, nanoseconds } from './prove.ts'
import { signProof } from './sign.ts'
import { arithmeticProblem } from './statement.ts'

export interface ProveV2Options {
  /** Signs, and its public key in hex is hashed into the seeds. */
  readonly key: Key
  readonly native: Pick<NativeApi, 'modelDigest'>
  readonly device: NativeDevice
  /** A Hugging Face directory. */
  readonly model: string
  readonly compute?: 'f32'
  readonly blockHash: string
  readonly nonces: BigInt64Array
  readonly seqLen: number
  readonly kDim: number
  readonly rng: PocV2Rng
  readonly batch?: number
  readonly onProgress?: (text: string, fraction: number) => void
  readonly signal?: AbortSignal
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

/** Of a nonce in a proof file, at most; and of all of the file that is not artifacts. */
const nonceBytes = 8
const overheadBytes = 16384

/** Computes the nonces and signs what came out. Throws ERR_GK_* of the device, and those of signProof. */
export async function proveV2(
  options: ProveV2Options,
): Promise<{ readonly bytes: Uint8Array; readonly payload: Payload<PocV2Statement> }> {
  const { key, device, model, blockHash, nonces, seqLen, kDim, rng, batch, signal, now = Date.now } = options
  if (nonces.length > limits.artifacts) {
    throw new GonkaError(
      'ERR_GK_NONCES',
      `a proof holds at most ${limits.artifacts} artifacts; got ${nonces.length} nonces`,
    )
  }
  // Before the work: signProof would refuse it after.
  const most = Math.floor((limits.fileBytes - overheadBytes) / (nonceBytes + 2 * kDim))
  if (nonces.length > most) {
    throw new GonkaError(
      'ERR_GK_NONCES',
      `a proof holds at most ${most} artifacts of k_dim ${kDim}; got ${nonces.length} nonces: split them over several`,
    )
  }
  const report = (fraction: number, step: string): void => options.onProgress?.(step, fraction)
  const digest = await options.native.modelDigest(model, report, signal)
  const publicKey = Buffer.from(key.publicKey).toString('hex')
  const session = await device.pocV2Open(
    { model, ...(options.compute ? { compute: options.compute } : {}) },
    report,
    signal,
  )
  try {
    const problem = arithmeticProblem(kDim, session.compute)
    if (problem) throw new GonkaError(problem.code, problem.message)
    const started = now()
    const kept: bigint[] = []
    const vectors: Uint8Array[] = []
    const request = { blockHash, publicKey, nonces, seqLen, kDim, rng, ...(batch === undefined ? {} : { batch }) }
    const stream = runPocV2(session, request, signal ? { signal } : {})
    let computed = 0
    let next = await stream.next()
    for (; !next.done; next = await stream.next()) {
      for (const { nonce, vector } of next.value.artifacts) {
        kept.push(BigInt(nonce))
        vectors.push(vector)
      }
      computed += next.value.computed
      options.onProgress?.(`${computed} of ${nonces.length} nonces`, computed / nonces.length)
    }
    const payload: Payload<PocV2Statement> = {
      statement: {
        kind: 'poc_v2',
        modelSha256: Uint8Array.from(Buffer.from(digest, 'hex')),
        architecture: session.architecture,
        blockHash,
        publicKey,
        seqLen,
        kDim,
        rng,
        searched: BigInt(next.value.computed),
        nonces: BigInt64Array.from(kept),
        vectors: Uint8Array.from(Buffer.concat(vectors)),
      },
      environment: await environmentOf(device, session),
      timing: {
        startedUnixMs: BigInt(Math.round(started)),
        elapsedNs: nanoseconds(next.value.seconds),
        initNs: nanoseconds(session.initSeconds),
        vouchedBy: 'prover',
      },
      energy: energyNotAvailable,
    }
    return { bytes: signProof(payload, key.privateKey), payload }
  } finally {
    await session.close()
  }
}
