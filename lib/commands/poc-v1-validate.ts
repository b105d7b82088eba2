/**
 * poc v1 validate: recomputes a ProofBatch and applies the fraud test. Exit code 1 on fraud.
 *
 * The file: {"public_key", "block_hash", "block_height", "nonces", "dist", "node_id"}.
 * JSON: the batch with "received_dist" (as claimed), "dist" (recomputed), "r_target", "fraud_threshold", "n_invalid",
 * "probability_honest" and "fraud_detected".
 */
import type { Command } from 'commander'
import { exitCodes } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { paint, startProgress, threeDigits } from '../terminal.ts'
import { type DeviceOptions, decimal, jsonOption, openDevice, type Run, withDeviceOptions } from './command.ts'
import { parseRTarget } from './poc-v1.ts'

/** The chain's values at the time of PoC v1. */
const defaultRTarget = 1.398077

interface Options extends DeviceOptions {
  readonly batch: string
  readonly params: string
  readonly rTarget: number
  readonly fraudThreshold: number
  readonly json?: boolean
}

export function definePocV1Validate(command: Command, run: Run): void {
  withDeviceOptions(command)
    .requiredOption('--batch <file>', 'a ProofBatch as JSON')
    .option('--params <set>', 'default, v1, v2 or a JSON file', 'default')
    .option('--r-target <x>', 'distances above this are invalid', parseRTarget, defaultRTarget)
    .option(
      '--fraud-threshold <p>',
      'fraud below this probability',
      decimal('a number from 0 to 1', (p) => p >= 0 && p <= 1),
      1e-7,
    )
    .option(...jsonOption)
    .action(run(validate))
}

async function validate(io: Io, options: Options): Promise<number> {
  const [{ loadParams }, { loadProofBatch }, { fraudTest }, { collect, pocV1 }] = await Promise.all([
    import('../protocol/params.ts'),
    import('../protocol/proof-batch.ts'),
    import('../protocol/fraud.ts'),
    import('../poc-v1.ts'),
  ])
  const params = await loadParams(options.params)
  const batch = await loadProofBatch(options.batch)
  const { rTarget, fraudThreshold } = options
  // A batch that claims what no miner may claim is refused before anything is computed.
  fraudTest({ receivedDist: batch.dist, dist: [], rTarget, fraudThreshold })
  let dist = new Float64Array()
  if (batch.nonces.length > 0) {
    const device = await openDevice(io, options)
    const progress = startProgress(io)
    try {
      const stream = pocV1({
        device,
        params,
        blockHash: batch.blockHash,
        publicKey: batch.publicKey,
        nonces: batch.nonces,
        onProgress: (fraction, step) => progress.update(step, fraction),
        signal: io.signal,
      })
      const recomputed = await collect(stream, (done) =>
        progress.update(`${done} of ${batch.nonces.length} nonces`, done / batch.nonces.length),
      )
      dist = Float64Array.from(recomputed.dist)
    } finally {
      progress.done()
      await device.close()
    }
  }
  const verdict = fraudTest({ receivedDist: batch.dist, dist, rTarget, fraudThreshold })
  if (options.json) {
    writeJson(io, {
      public_key: batch.publicKey,
      block_hash: batch.blockHash,
      block_height: batch.blockHeight,
      nonces: Array.from(batch.nonces),
      received_dist: Array.from(batch.dist),
      dist: Array.from(dist),
      node_id: batch.nodeId,
      r_target: rTarget,
      fraud_threshold: fraudThreshold,
      n_invalid: verdict.nInvalid,
      probability_honest: verdict.probabilityHonest,
      fraud_detected: verdict.fraudDetected,
    })
  } else {
    const word = verdict.fraudDetected ? paint(io, io.out, 'red', 'FRAUD') : paint(io, io.out, 'green', 'honest')
    io.out.write(
      `${word}: ${verdict.nInvalid} of ${batch.nonces.length} distances above ${rTarget}; ` +
        `an honest miner would show as many with probability ${threeDigits(verdict.probabilityHonest)} (fraud below ${fraudThreshold})\n`,
    )
  }
  return verdict.fraudDetected ? exitCodes.failed : exitCodes.ok
}
