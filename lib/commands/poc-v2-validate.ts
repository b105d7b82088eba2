/**
 * poc v2 validate: recomputes artifacts and applies the fraud test. Exit code 1 on fraud.
 *
 * The file: artifacts as `poc v2 --json` prints them or as a node sends them. JSON: {"n_total", "n_mismatch",
 * "mismatch_nonces", "n_excluded", "excluded_nonces", "p_value", "fraud_detected", "dist_threshold", "p_mismatch",
 * "significance", "significance_from", "distances": {nonce: L2 or null}}.
 */
import type { Command } from 'commander'
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import type { PocV2Rng } from '../native-api.ts'
import { paint, threeDigits } from '../terminal.ts'
import { decimal, integer, jsonOption, type Run } from './command.ts'
import { computeRound, type EngineOptions, required, rngOption, withEngineOptions } from './poc-v2.ts'

interface Options extends EngineOptions {
  readonly artifacts: string
  readonly blockHash?: string
  readonly publicKey?: string
  readonly seqLen?: number
  readonly rng: PocV2Rng
  readonly distThreshold: number
  readonly pMismatch: number
  readonly fraudThreshold?: number
  readonly pValueThreshold?: number
  readonly json?: boolean
}

const probability = decimal('a number from 0 to 1', (p) => p >= 0 && p <= 1)

export function definePocV2Validate(command: Command, run: Run): void {
  withEngineOptions(command)
    .requiredOption('--artifacts <file>', 'what is claimed')
    .option('--block-hash <text>', 'if the file does not say')
    .option('--public-key <text>', 'if the file does not say')
    .option('--seq-len <n>', 'if the file does not say', integer(1, 2 ** 20))
    .addOption(rngOption().default(undefined))
    .option(
      '--dist-threshold <x>',
      'a vector further away mismatches',
      decimal('a number >= 0', (x) => x >= 0),
      0.02,
    )
    .option(
      '--p-mismatch <p>',
      'chance of a mismatch granted to an honest prover',
      decimal('a number between 0 and 1', (p) => p > 0 && p < 1),
      0.001,
    )
    .option('--fraud-threshold <p>', 'fraud if the p-value is below (0.01)', probability)
    .option('--p-value-threshold <p>', 'the same under the name that network nodes send', probability)
    .option(...jsonOption)
    .action(run(validate))
}

async function validate(io: Io, options: Options): Promise<number> {
  const [{ loadArtifactFile }, { decodeVectorBytes }, { validateArtifacts }, { significanceOf }] = await Promise.all([
    import('../protocol/artifact-file.ts'),
    import('../protocol/artifact-vector.ts'),
    import('../protocol/validation-v2.ts'),
    import('../protocol/wire-v2.ts'),
  ])
  const file = await loadArtifactFile(options.artifacts)
  const claimed = [...file.artifacts.keys()]
  if (claimed.length === 0) throw new GonkaError('ERR_GK_BATCH', `${options.artifacts}: holds no artifacts`)
  const { artifacts } = await computeRound(
    io,
    options,
    {
      blockHash: required('--block-hash <text>', options.blockHash ?? file.blockHash),
      publicKey: required('--public-key <text>', options.publicKey ?? file.publicKey),
      nonces: BigInt64Array.from(claimed, BigInt),
      seqLen: options.seqLen ?? file.seqLen ?? 1024,
      kDim: file.kDim,
      rng: options.rng ?? file.rng ?? 'murmur',
    },
    false,
  )
  // Both names at once: the one the reference node reads wins.
  const significance = significanceOf({
    dist_threshold: options.distThreshold,
    p_mismatch: options.pMismatch,
    fraud_threshold: options.fraudThreshold,
    p_value_threshold: options.pValueThreshold,
  })
  const result = validateArtifacts(
    {
      computed: artifacts.map(({ nonce, vector }) => ({ nonce, vector: decodeVectorBytes(vector) })),
      claims: file.artifacts,
      nTotal: claimed.length,
      kDim: file.kDim,
      requested: claimed,
    },
    { distThreshold: options.distThreshold, pMismatch: options.pMismatch, significance: significance.value },
  )
  if (options.json) {
    writeJson(io, {
      n_total: result.nTotal,
      n_mismatch: result.mismatchNonces.length,
      mismatch_nonces: result.mismatchNonces,
      n_excluded: result.excludedNonces.length,
      excluded_nonces: result.excludedNonces,
      p_value: result.pValue,
      fraud_detected: result.fraudDetected,
      dist_threshold: options.distThreshold,
      p_mismatch: options.pMismatch,
      significance: significance.value,
      significance_from: significance.source,
      distances: Object.fromEntries(result.distances),
    })
  } else {
    const word = result.fraudDetected ? paint(io, io.out, 'red', 'FRAUD') : paint(io, io.out, 'green', 'honest')
    const distances = [...result.distances.values()].filter((distance) => !Number.isNaN(distance))
    const largest = distances.reduce((a, b) => Math.max(a, b), 0)
    io.out.write(
      `${word}: ${result.mismatchNonces.length} of ${result.nTotal} artifacts further than ${options.distThreshold} ` +
        `(largest distance ${threeDigits(largest)}); an honest node would show as many with probability ` +
        `${threeDigits(result.pValue)} (fraud below ${significance.value}, ${significance.source})\n`,
    )
    if (result.excludedNonces.length > 0) {
      io.out.write(`not recomputed and left out: ${result.excludedNonces.join(', ')}\n`)
    }
  }
  return result.fraudDetected ? exitCodes.failed : exitCodes.ok
}
