// One PoC v1 batch of somebody else: its distances computed again, the verdict sent to whoever asked.

import { isGonkaError } from '../errors.ts'
import { fraudTest } from '../protocol/fraud.ts'
import type { InitV1, ProofBatch } from '../protocol/wire-v1.ts'
import type { PocV1Model } from './poc-v1.ts'
import type { VerdictSender } from './verdicts.ts'

async function distancesOf(model: PocV1Model, batch: ProofBatch, signal: AbortSignal): Promise<number[]> {
  const found = new Map<bigint, number>()
  const search = { publicKey: batch.public_key, nonces: BigInt64Array.from(batch.nonces, BigInt) }
  const keep = (nonces: BigInt64Array, dist: Float64Array) => {
    dist.forEach((d, i) => {
      found.set(nonces[i] as bigint, d)
    })
  }
  try {
    await model.run(search, keep, signal)
  } catch (error) {
    // The device is opened anew for the second try; one that is lost again gives no verdict.
    if (!isGonkaError(error, 'ERR_GK_DEVICE_LOST')) throw error
    await model.run(search, keep, signal)
  }
  return batch.nonces.map((nonce) => found.get(BigInt(nonce)) ?? Number.NaN)
}

/** Resolves when the verdict is stored for delivery. Rejects if the batch could not be computed: then there is none. */
export async function validateBatch(
  model: PocV1Model,
  batch: ProofBatch,
  terms: Pick<InitV1, 'r_target' | 'fraud_threshold' | 'url'>,
  verdicts: VerdictSender,
  signal: AbortSignal,
): Promise<void> {
  const dist = await distancesOf(model, batch, signal)
  const { r_target, fraud_threshold, url } = terms
  const verdict = fraudTest({ receivedDist: batch.dist, dist, rTarget: r_target, fraudThreshold: fraud_threshold })
  if (url === undefined) return
  await verdicts.send(`${url}/validated`, {
    ...batch,
    dist,
    received_dist: batch.dist,
    r_target,
    fraud_threshold,
    n_invalid: verdict.nInvalid,
    probability_honest: verdict.probabilityHonest,
    fraud_detected: verdict.fraudDetected,
  })
}
