import t from 'tap'
import { embeddingModel } from '../../lib/node/embedding-engine.ts'
import { noFaults } from '../../lib/sim/faults.ts'
import { runSimulation, type SimOptions } from '../../lib/sim/run.ts'
import { shortParams } from '../../lib/sim/schedule.ts'

// Epochs take their time, and process starts take more on a busy machine.
t.setTimeout(300_000)

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

t.test('an epoch with real node processes: honest hosts accepted, liars voted out', { timeout: 180_000 }, async (t) => {
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
  t.ok(report.epochs.filter((e) => e.rewardNgonka > 0n).length === 3)
  t.ok(lines.some((line) => line.includes('regular PoCValidate')))
})

t.test('an interruption ends it cleanly', { timeout: 60_000 }, async (t) => {
  const abort = new AbortController()
  const running = runSimulation({ ...base, hosts: ['honest'] }, { signal: abort.signal, progress: () => abort.abort() })
  await t.rejects(running, { code: 'ERR_GK_CANCELLED' })
})
