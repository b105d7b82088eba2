/**
 * simulate: a Gonka network on this machine. Hosts, each with real ML node processes, go through whole epochs: generation,
 * commitment, proof exchange, validation, votes, confirmation, rewards.
 *
 * JSON (--json): {"seed", "scheme", "block_ms", "mean_block_ms", "params", "faults", "stages", "epochs", "nodes", "checks", "votes_against",
 * "troubles", "ok"}; amounts in ngonka as text. Exit code 1 if a check fails.
 */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Option } from 'commander'
import { exitCodes } from '../errors.ts'
import type { Io } from '../io.ts'
import { embeddingModel } from '../node/embedding-engine.ts'
import type { Scheme } from '../sim/broker.ts'
import type { HostFault } from '../sim/faults.ts'
import { runSimulation, type SimOptions } from '../sim/run.ts'
import { mainnetParams, shortParams } from '../sim/schedule.ts'
import { formatGnk } from '../sim/weights.ts'
import { type Define, decimal, integer, jsonOption } from './command.ts'

const pocKinds = ['v2', 'v2-model', 'v1'] as const
type PocKind = (typeof pocKinds)[number]

interface Options {
  readonly nodes: number
  readonly epochs: number
  readonly forgers: number
  readonly wrongModels: number
  readonly slow: number
  readonly skewed: number
  readonly perHost: number
  readonly node?: readonly string[]
  readonly poc: PocKind
  readonly blockMs: number
  readonly mainnetSchedule?: boolean
  readonly confirmations: boolean
  readonly rate: number
  readonly sample: number
  readonly seed: number
  readonly storm: number
  readonly cut: number
  readonly drop: number
  readonly duplicate: number
  readonly delayMs: number
  readonly restartEvery: number
  readonly json?: boolean
}

const probability = decimal('a probability from 0 to 1', (p) => p >= 0 && p <= 1)
const count = integer(0, 1000)

export const define: Define = (command, run) => {
  command
    .option('--nodes <n>', 'honest hosts', integer(1, 100), 3)
    .option('--epochs <n>', 'epochs to run', integer(1, 100_000), 2)
    .option('--forgers <n>', 'hosts that also claim artifacts nobody computed', count, 0)
    .option('--wrong-models <n>', 'hosts whose ML node runs another model under the same name', count, 0)
    .option('--slow <n>', 'hosts with a tenth of the speed', count, 0)
    .option('--skewed <n>', 'hosts whose clock is six minutes ahead', count, 0)
    .option('--per-host <n>', 'ML nodes of each host', integer(1, 16), 1)
    .option('--node <urls>', 'ML nodes already running, comma separated: drive these instead of own ones', (text) =>
      text.split(',').map((url) => url.trim()),
    )
    .addOption(
      new Option('--poc <scheme>', 'v2 (a model without layers), v2-model (a tiny transformer, native) or v1 (native)')
        .choices(pocKinds)
        .default('v2'),
    )
    .option('--block-ms <n>', 'length of a block', integer(20, 60_000), 100)
    .option('--mainnet-schedule', 'epochs as long as on the public network, in blocks')
    .option('--no-confirmations', 'no confirmation stage in each epoch')
    .option('--rate <n>', 'nonces per second of each own ML node', integer(1, 100_000), 100)
    .option('--sample <n>', 'artifacts a validator checks of each host', integer(1, 500), 50)
    .option('--seed <n>', 'makes block hashes and faults repeatable', integer(0, 2 ** 32 - 1), 1)
    .option('--storm <p>', 'share of seconds in which callbacks are answered 503', probability, 0)
    .option('--cut <p>', 'callbacks processed, then cut off without an answer', probability, 0)
    .option('--drop <p>', 'callbacks cut off unread', probability, 0)
    .option('--duplicate <p>', 'callbacks processed twice', probability, 0)
    .option('--delay-ms <n>', 'callbacks answered after up to this long', integer(0, 60_000), 0)
    .option(
      '--restart-every <s>',
      'kill -9 of a random ML node about this often',
      decimal('seconds', (s) => s >= 0),
      0,
    )
    .option(...jsonOption)
    .action(run(simulate))
}

const schemes: Readonly<Record<PocKind, Scheme>> = {
  'v2-model': {
    kind: 'v2',
    modelId: 'gonka-miner/tiny-qwen3',
    seqLen: 16,
    kDim: 12,
    strongerRng: true,
    statTest: { distThreshold: 0.4, pMismatch: 0.1, pValueThreshold: 0.05 },
    batchSize: 16,
  },
  v2: {
    kind: 'v2',
    modelId: embeddingModel,
    seqLen: 256,
    kDim: 12,
    strongerRng: true,
    statTest: { distThreshold: 0.4, pMismatch: 0.1, pValueThreshold: 0.05 },
    batchSize: 16,
  },
  v1: {
    kind: 'v1',
    modelId: 'gonka-miner/poc-v1-tiny',
    params: {
      dim: 64,
      n_layers: 2,
      n_heads: 4,
      n_kv_heads: 2,
      vocab_size: 128,
      ffn_dim_multiplier: 1.3,
      multiple_of: 16,
      norm_eps: 1e-5,
      rope_theta: 10_000,
      use_scaled_rope: false,
      seq_len: 16,
    },
    rTarget: 1.35,
    fraudThreshold: 1e-7,
    batchSize: 64,
  },
}

/** Two small models of one family whose weights differ: what the network runs, and what a wrong host runs. */
async function tinyModels(io: Io, folder: string): Promise<{ right: string; wrong: string }> {
  const native = await io.native()
  const make = async (name: string, seed: number) => {
    const directory = join(folder, name)
    mkdirSync(directory)
    await native.makeTinyModel({ directory, family: 'qwen3', seed })
    return directory
  }
  return { right: await make('right', 1), wrong: await make('wrong', 2) }
}

async function simulate(io: Io, options: Options): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'gonka-models-'))
  try {
    const models = options.poc === 'v2-model' ? await tinyModels(io, folder) : undefined
    return await runAndReport(io, options, models)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function runAndReport(
  io: Io,
  options: Options,
  models: { right: string; wrong: string } | undefined,
): Promise<number> {
  const of = (fault: HostFault, n: number) => Array.from({ length: n }, () => fault)
  const sim: SimOptions = {
    hosts: [
      ...of('honest', options.nodes),
      ...of('forger', options.forgers),
      ...of('wrong-model', options.wrongModels),
      ...of('slow', options.slow),
      ...of('skewed', options.skewed),
    ],
    nodesPerHost: options.perHost,
    nodeUrls: options.node ?? [],
    epochs: options.epochs,
    blockMs: options.blockMs,
    params: options.mainnetSchedule ? mainnetParams : shortParams,
    scheme: schemes[options.poc],
    faults: {
      storm: options.storm,
      cut: options.cut,
      drop: options.drop,
      duplicate: options.duplicate,
      delayMs: options.delayMs,
      restartEvery: options.restartEvery,
    },
    seed: options.seed,
    sampleSize: options.sample,
    confirmations: options.confirmations,
    thresholdBps: 5000,
    weightScaleFactor: 1,
    rateLimit: options.rate,
    ...(models === undefined ? {} : { modelDirectories: models }),
  }
  const report = await runSimulation(sim, { signal: io.signal, progress: (line) => io.err.write(`${line}\n`) })
  const ok = report.checks.every((check) => check.ok)
  if (options.json) {
    const { blockMs, meanBlockMs, votesAgainst, ...rest } = report
    const plain = { ...rest, block_ms: blockMs, mean_block_ms: meanBlockMs, votes_against: votesAgainst, ok }
    io.out.write(`${JSON.stringify(plain, (_key, value) => (typeof value === 'bigint' ? value.toString() : value))}\n`)
  } else printReport(io, report)
  return ok ? exitCodes.ok : exitCodes.failed
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? []
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function printReport(io: Io, report: Awaited<ReturnType<typeof runSimulation>>): void {
  const stages = report.stages.map((s) => [
    `${s.height} ${s.kind}`,
    s.host,
    String(s.received),
    String(s.committed),
    String(s.late),
    `${s.validPower}/${s.invalidPower}/${s.totalPower}`,
    s.outcome,
    String(s.weight),
  ])
  const epochs = report.epochs.map((e) => [
    `epoch ${e.epoch}`,
    `${e.host} ${e.fault}`,
    String(e.weight),
    String(e.confirmed),
    formatGnk(e.rewardNgonka),
  ])
  const nodes = report.nodes.map((n) => [
    n.host,
    n.url,
    ...[n.generated, n.acknowledged, n.waiting, n.dropped, n.redelivered, n.restarts].map((v) => String(v ?? '-')),
  ])
  io.out.write(
    `\n${table([['stage', 'host', 'received', 'committed', 'late', 'valid/invalid/total', 'outcome', 'weight'], ...stages])}\n`,
  )
  io.out.write(`\n${table([['', 'host', 'weight', 'confirmed', 'reward GNK'], ...epochs])}\n`)
  const head = ['host', 'ML node', 'generated', 'acknowledged', 'waiting', 'dropped', 'sent again', 'restarts']
  io.out.write(`\n${table([head, ...nodes])}\n`)
  io.out.write(`\nblocks: ${report.meanBlockMs} ms on average, ${report.blockMs} ms asked for\n`)
  const faults = Object.entries(report.faults).filter(([, n]) => n > 0)
  if (faults.length > 0) io.out.write(`\nfaults: ${faults.map(([name, n]) => `${n} ${name}`).join(', ')}\n`)
  if (report.votesAgainst.length > 0)
    io.out.write(`\nvotes against:\n${report.votesAgainst.map((v) => `  ${v}\n`).join('')}`)
  io.out.write('\n')
  for (const check of report.checks) io.out.write(`${check.ok ? 'ok    ' : 'FAILED'} ${check.name}: ${check.detail}\n`)
  if (report.checks.some((check) => !check.ok)) {
    io.err.write(
      `troubles on the way:\n${report.troubles
        .slice(-20)
        .map((line) => `  ${line}\n`)
        .join('')}`,
    )
  }
}
