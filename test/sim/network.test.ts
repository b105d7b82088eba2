import t from 'tap'
import { embeddingModel } from '../../lib/node/embedding-engine.ts'
import { namedParams } from '../../lib/protocol/params.ts'
import { noFaults } from '../../lib/sim/faults.ts'
import { runSimulation, type SimOptions } from '../../lib/sim/run.ts'
import { shortParams } from '../../lib/sim/schedule.ts'

// Blocks wait for whoever is behind, so a busy machine makes the run longer, not different.
t.setTimeout(0)

const base: SimOptions = {
  hosts: ['honest', 'honest', 'honest'],
  nodesPerHost: 1,
  nodeUrls: [],
  epochs: 1,
  blockMs: 100,
  params: { ...shortParams, epochLength: 150 },
  scheme: {
    kind: 'v2',
    modelId: embeddingModel,
    seqLen: 64,
    kDim: 12,
    strongerRng: true,
    statTest: { distThreshold: 0.4, pMismatch: 0.1, pValueThreshold: 0.05 },
    batchSize: 8,
  },
  faults: noFaults,
  seed: 5,
  sampleSize: 20,
  confirmations: false,
  thresholdBps: 5000,
  weightScaleFactor: 1,
  rateLimit: 40,
}

t.test('an epoch with real node processes: honest hosts accepted, liars voted out', async (t) => {
  const lines: string[] = []
  const report = await runSimulation(
    { ...base, hosts: ['honest', 'honest', 'honest', 'forger', 'wrong-model'] },
    { signal: new AbortController().signal, progress: (line) => lines.push(line) },
  )
  for (const check of report.checks) t.ok(check.ok, `${check.name}: ${check.detail}`)
  const outcomeOf = (host: string) => report.stages.find((s) => s.host === host)?.outcome
  t.same(['host1', 'host2', 'host3', 'host4', 'host5'].map(outcomeOf), [
    'accepted',
    'accepted',
    'accepted',
    'rejected',
    'rejected',
  ])
  t.ok(report.stages.every((s) => s.committed > 0))
  t.ok(report.checks.some((check) => check.name.includes('was offered') && !check.detail.startsWith('0 ')))
  t.ok(report.meanBlockMs >= base.blockMs)
  t.ok(report.epochs.filter((e) => e.rewardNgonka > 0n).length === 3)
  t.ok(lines.some((line) => line.includes('regular PoCValidate')))
})

t.test('PoC v1: forgers and wrong models are voted out', async (t) => {
  const scheme: SimOptions['scheme'] = {
    ...{ kind: 'v1', modelId: 'gonka-miner/poc-v1-tiny', rTarget: 1.35, fraudThreshold: 1e-7, batchSize: 64 },
    params: {
      ...namedParams.default,
      dim: 64,
      n_layers: 2,
      n_heads: 4,
      n_kv_heads: 2,
      vocab_size: 128,
      multiple_of: 16,
    },
  }
  const report = await runSimulation(
    { ...base, scheme, hosts: ['honest', 'honest', 'honest', 'forger', 'wrong-model'], sampleSize: 50 },
    { signal: new AbortController().signal, progress: () => undefined },
  )
  for (const check of report.checks) t.ok(check.ok, `${check.name}: ${check.detail}`)
  t.same(
    report.stages.map((s) => [s.host, s.outcome]),
    ['host1', 'host2', 'host3', 'host4', 'host5'].map((h, i) => [h, i < 3 ? 'accepted' : 'rejected']),
  )
})

t.test('refused, cut and repeated callbacks: nothing generated is lost, nothing counts twice', async (t) => {
  const report = await runSimulation(
    { ...base, faults: { ...noFaults, storm: 0.3, cut: 0.2, drop: 0.2, duplicate: 0.2 } },
    { signal: new AbortController().signal, progress: () => undefined },
  )
  t.ok(report.faults.cuts + report.faults.drops + report.faults.duplicates > 0, 'faults happened')
  for (const check of report.checks) t.ok(check.ok, `${check.name}: ${check.detail}`)
  t.ok(report.nodes.every((node) => (node.generated ?? 0) > 0))
})

t.test('an interruption ends it cleanly', async (t) => {
  const abort = new AbortController()
  const running = runSimulation({ ...base, hosts: ['honest'] }, { signal: abort.signal, progress: () => abort.abort() })
  await t.rejects(running, { code: 'ERR_GK_CANCELLED' })
})
