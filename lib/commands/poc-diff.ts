/**
 * poc diff: how far two files of artifacts for the same nonces are apart. Exit code 1 if any of the verdicts is fraud.
 *
 * JSON: {"a", "b", "nonces", "distances" (null: not comparable), "only_in_a", "only_in_b", "quantiles": [{"q",
 * "distance"}], "histogram": [{"from", "to", "count"}], "verdicts": [{"dist_threshold", "p_mismatch", "significance",
 * "n_mismatch", "p_value", "fraud_detected"}], "layers": [{"layer", "median", "largest"}] and "last_hidden" (empty and null without
 * traces)}.
 */
import { type Command, InvalidArgumentError } from 'commander'
import type { Drift } from '../drift.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import type { StatTest } from '../protocol/fraud-test.ts'
import { formatTable, paint, threeDigits } from '../terminal.ts'
import { jsonOption, type Run } from './command.ts'

interface Options {
  readonly test: readonly StatTest[]
  readonly trace?: boolean
  readonly json?: boolean
}

/** What a node uses by itself, and what the network's chain has set for models of 2026. */
const defaultTests: readonly StatTest[] = [
  { distThreshold: 0.02, pMismatch: 0.001, significance: 0.01 },
  { distThreshold: 0.41, pMismatch: 0.1, significance: 0.05 },
]

export function definePocDiff(command: Command, run: Run): void {
  command
    .argument('<a>', 'artifacts of one engine, as `poc v2 --json` prints them')
    .argument('<b>', 'artifacts of the other')
    .option(
      '--test <distance,p-mismatch,significance>',
      'verdict under this test, as in 0.02,0.001,0.01; may be repeated',
      parseTest,
      [],
    )
    .option('--trace', 'distances after every layer; both files need hidden states (`poc v2 --trace`)')
    .option(...jsonOption)
    .action(run(diff))
}

function parseTest(text: string, before: readonly StatTest[]): readonly StatTest[] {
  const parts = text.split(',')
  const [distThreshold, pMismatch, significance] = parts.map(Number) as [number, number, number]
  if (parts.length !== 3 || !(distThreshold >= 0) || !(pMismatch > 0 && pMismatch < 1) || !(significance >= 0)) {
    throw new InvalidArgumentError('Expected three numbers: distance, p-mismatch (between 0 and 1), significance.')
  }
  return [...before, { distThreshold, pMismatch, significance }]
}

async function diff(io: Io, pathA: string, pathB: string, options: Options): Promise<number> {
  const [{ compareFiles }, { loadArtifactFile }] = await Promise.all([
    import('../drift.ts'),
    import('../protocol/artifact-file.ts'),
  ])
  const [a, b] = [await loadArtifactFile(pathA), await loadArtifactFile(pathB)]
  for (const field of ['blockHash', 'publicKey', 'seqLen', 'rng', 'kDim'] as const) {
    if (a[field] !== undefined && b[field] !== undefined && a[field] !== b[field]) {
      throw new GonkaError('ERR_GK_BATCH', `the files are of different rounds: ${field} is ${a[field]} and ${b[field]}`)
    }
  }
  const drift = compareFiles(a, b, options.test.length > 0 ? options.test : defaultTests)
  if (drift.nonces.length === 0) throw new GonkaError('ERR_GK_BATCH', 'the files have no nonce in common')
  if (options.trace && drift.lastHidden === undefined) {
    throw new GonkaError('ERR_GK_BATCH', 'the files have no traced nonce in common; compute them with `poc v2 --trace`')
  }
  if (options.json) {
    const { verdicts, lastHidden, ...rest } = drift
    writeJson(io, {
      a: pathA,
      b: pathB,
      ...(toJson(rest) as object),
      last_hidden: lastHidden ?? null,
      verdicts: verdicts.map(({ test, nMismatch, pValue, fraudDetected }) => ({
        dist_threshold: test.distThreshold,
        p_mismatch: test.pMismatch,
        significance: test.significance,
        n_mismatch: nMismatch,
        p_value: pValue,
        fraud_detected: fraudDetected,
      })),
    })
  } else {
    io.out.write(describe(io, drift, a.engine, b.engine, options.trace ?? false))
  }
  return drift.verdicts.some((verdict) => verdict.fraudDetected) ? exitCodes.failed : exitCodes.ok
}

function describe(
  io: Io,
  drift: Drift,
  engineA: string | undefined,
  engineB: string | undefined,
  trace: boolean,
): string {
  const parts: string[] = []
  if (engineA !== undefined) parts.push(`a: ${engineA}\n`)
  if (engineB !== undefined) parts.push(`b: ${engineB}\n`)
  const lonely = drift.onlyInA.length + drift.onlyInB.length
  parts.push(`${drift.nonces.length} nonces in both files${lonely === 0 ? '' : `, ${lonely} in one only`}\n`)
  if (drift.nonces.length <= 32) {
    const rows = drift.nonces.map((nonce, i) => [String(nonce), threeDigits(drift.distances[i] as number)])
    parts.push(`\n${formatTable(['nonce', 'L2 distance'], rows, new Set([0, 1]))}`)
  }
  const quantiles = drift.quantiles.map(({ q, distance }) => [`${100 * q} %`, threeDigits(distance)])
  parts.push(`\n${formatTable(['quantile', 'L2 distance'], quantiles, new Set([0, 1]))}`)
  const largest = Math.max(...drift.histogram.map(({ count }) => count))
  const bars = drift.histogram.map(({ from, to, count }) => [
    to === 0 ? 'equal' : `${from} .. ${to === 2.0001 ? 2 : to}`,
    String(count),
    '#'.repeat(Math.ceil((40 * count) / largest)),
  ])
  parts.push(`\n${formatTable(['L2 distance', 'nonces', ''], bars, new Set([1]))}`)
  if (trace) {
    const rows = drift.layers.map(({ layer, median, largest: most }) => [
      String(layer),
      threeDigits(median),
      threeDigits(most),
    ])
    if (drift.lastHidden) {
      rows.push(['final norm', threeDigits(drift.lastHidden.median), threeDigits(drift.lastHidden.largest)])
    }
    parts.push(
      `\nLast token's residual stream after each layer, |a - b| / |a|:\n` +
        formatTable(['layer', 'median', 'largest'], rows, new Set([0, 1, 2])),
    )
  }
  parts.push('\n')
  for (const { test, nMismatch, pValue, fraudDetected } of drift.verdicts) {
    const word = fraudDetected ? paint(io, io.out, 'red', 'FRAUD') : paint(io, io.out, 'green', 'honest')
    parts.push(
      `${word} at distance ${test.distThreshold}, p_mismatch ${test.pMismatch}, significance ${test.significance}: ` +
        `${nMismatch} mismatches, p ${threeDigits(pValue)}\n`,
    )
  }
  return parts.join('')
}
