/** Computing anew what a PoC v2 proof claims, with the model's own files. */
import { throwIfAborted } from '../errors.ts'
import { runPocV2 } from '../poc-v2.ts'
import { decodeVectorBytes } from '../protocol/artifact-vector.ts'
import { vectorDistance } from '../protocol/validation-v2.ts'
import type { Environment, PocV2Statement } from './payload.ts'
import type { Recomputation, RecomputeOptions } from './recompute.ts'
import type { Problem } from './statement.ts'
import type { ModelFiles } from './verify.ts'

/** Both in fp32: what is left is the rounding to fp16; measured distances stay below 4e-4. */
const toleranceF32 = 1e-3
/** Either side in a short type: the distance the network grants to models of dozens of layers. See arithmeticProblem. */
const toleranceShort = 0.4

/** Why the claim cannot be recomputed here, or undefined. */
export async function modelProblem(
  statement: PocV2Statement,
  files: ModelFiles | undefined,
): Promise<Problem | undefined> {
  const wanted = Buffer.from(statement.modelSha256).toString('hex')
  if (files === undefined) {
    const message =
      `the claim is about the ${statement.architecture} model with digest ${wanted}, which is needed to recompute it; ` +
      'name its directory with --model (`gonka-miner model digest DIR` prints the digest of one)'
    return { code: 'ERR_GK_PROOF_MODEL', message }
  }
  const found = await files.digest(files.directory)
  if (found === wanted) return undefined
  return {
    code: 'ERR_GK_PROOF_MODEL',
    message: `${files.directory} holds the model with digest ${found}; the claim is about ${wanted}`,
  }
}

/** Vectors of the artifacts with these indices, on a device. modelProblem has found the files right. */
export async function recomputeVectors(
  statement: PocV2Statement,
  environment: Environment,
  indices: readonly number[],
  { device: openDevice, model, onProgress, signal }: RecomputeOptions & { readonly model?: ModelFiles },
): Promise<Recomputation> {
  const device = await openDevice()
  throwIfAborted(signal)
  const started = performance.now()
  const { seqLen, kDim, rng, blockHash, publicKey, nonces, vectors } = statement
  const session = await device.pocV2Open(
    // In the claimant's arithmetic: the drift that remains is that of another implementation.
    { model: model?.directory ?? '', ...(environment.compute === 'f32' ? { compute: 'f32' as const } : {}) },
    (fraction, step) => onProgress?.(step, fraction),
    signal,
  )
  try {
    const claims = new Map(
      indices.map((i) => [Number(nonces[i]), decodeVectorBytes(vectors.subarray(2 * kDim * i, 2 * kDim * (i + 1)))]),
    )
    const request = {
      blockHash,
      publicKey,
      seqLen,
      kDim,
      rng,
      nonces: BigInt64Array.from(indices, (i) => nonces[i] as bigint),
    }
    const single = environment.compute === 'f32' && session.compute === 'f32'
    const tolerance = single ? toleranceF32 : toleranceShort
    let computed = 0
    let agreeing = 0
    let maxDifference = 0
    for await (const batch of runPocV2(session, request, signal ? { signal } : {})) {
      for (const { nonce, vector } of batch.artifacts) {
        const distance = vectorDistance(decodeVectorBytes(vector), claims.get(nonce) as Float32Array)
        if (distance <= tolerance) agreeing++
        maxDifference = Math.max(maxDifference, distance)
      }
      computed += batch.computed
      onProgress?.(`recomputed ${computed} of ${indices.length} vectors`, computed / indices.length)
    }
    const seconds = (performance.now() - started) / 1000
    // A nonce that has no artifact here equals no claim.
    return { kind: 'poc_v2', computed, mismatches: computed - agreeing, maxDifference, tolerance, seconds }
  } finally {
    await session.close()
  }
}
