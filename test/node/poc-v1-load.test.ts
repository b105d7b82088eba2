// A PoC v1 model that does not load on every device: nothing spins, nothing keeps its memory.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { addressRule } from '../../lib/node/address-rule.ts'
import { createPocV1 } from '../../lib/node/poc-v1.ts'
import { until } from './peer.ts'

t.setTimeout(120_000)

const request = {
  node_id: 0,
  node_count: 1,
  block_hash: 'AB',
  block_height: 7,
  public_key: '02',
  batch_size: 4,
  r_target: 1.4,
  fraud_threshold: 1e-7,
  params: {},
}
const batch = { public_key: '03', block_hash: 'AB', block_height: 7, nonces: [1], dist: [1.2], node_id: 0 }

function pocOver(open: (index: number, signal: AbortSignal) => Promise<unknown>) {
  const engines = [0, 1].map((index) => ({
    name: `engine ${index}`,
    open: (_params: unknown, _hash: string, signal: AbortSignal) => open(index, signal),
    close: async () => undefined,
  }))
  const quiet = () => undefined
  const parts = {
    ...{ engines, outbox: {}, verdicts: {}, rule: addressRule(['loopback']), claim: quiet },
    log: { info: quiet, warn: quiet, error: quiet, debug: quiet },
    limits: { deadlineMs: 60_000, generationMs: 60_000 },
    ...{ stopFlushMs: 0, maxQueuedNonces: 1000, onComputed: quiet, onFailure: quiet },
  }
  return createPocV1(parts as unknown as Parameters<typeof createPocV1>[0])
}

t.test('one of two devices fails', async (t) => {
  const closed: number[] = []
  const poc = pocOver(async (index) => {
    await sleep(20 * index)
    if (index === 1) throw new Error('out of memory')
    return { close: async () => void closed.push(index) }
  })
  await poc.init(request as never, 'validate')
  await poc.validate(batch as never)
  await until(() => poc.status().status === 'NOT_LOADED', 'the failure')
  t.same(closed, [0], 'the one that opened is closed')
  await sleep(50)
  t.pass('timers run though a batch waits')
  await t.rejects(poc.validate(batch as never), { message: /could not be loaded: out of memory/ })
  t.match(poc.status(), { is_model_initialized: false, error: 'out of memory' })
  for (const phase of ['generate', 'validate'] as const) await poc.setPhase(phase)
  await sleep(10)
  await poc.stop()
  await poc.close()
})

t.test('stopped while one has opened', async (t) => {
  const closed: number[] = []
  const poc = pocOver(async (index) => {
    await sleep(100 * index)
    return { close: async () => void closed.push(index) }
  })
  await poc.init(request as never, 'generate')
  await sleep(30)
  await poc.stop()
  await until(() => closed.length === 2, 'both to be closed')
  t.match(poc.status(), { status: 'STOPPED', is_model_initialized: false })
  await poc.close()
})
