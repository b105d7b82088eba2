// The outbox against a network node that the test plays by hand: no sockets, no clock but the test's.

import t from 'tap'
import type { Answer, HttpClient } from '../../lib/node/http-client.ts'
import { createLog } from '../../lib/node/log.ts'
import { meaningOf } from '../../lib/node/outbox/answer.ts'
import { openOutbox } from '../../lib/node/outbox/outbox.ts'
import type { OutboxSettings } from '../../lib/node/outbox/settings.ts'
import type { StageKey } from '../../lib/node/outbox/stages.ts'
import { type Database, openStore } from '../../lib/node/outbox/store.ts'
import { until } from './peer.ts'

const key: StageKey = {
  kind: 'v2',
  url: 'http://dapi/v2/poc-batches/m',
  blockHash: 'AA',
  blockHeight: 5,
  publicKey: '02',
  nodeId: 1,
  nodeCount: 2,
  model: 'm',
  seqLen: 8,
  kDim: 12,
  strongerRng: false,
}

function memoryDatabase(): Database & { readonly content: Map<string, Uint8Array> } {
  const content = new Map<string, Uint8Array>()
  return {
    content,
    async open() {},
    async close() {},
    get: async (name) => content.get(name),
    async batch(operations) {
      for (const { type, key: name, value } of operations) {
        if (type === 'put' && value !== undefined) content.set(name, value)
        else content.delete(name)
      }
    },
    entries: async (from, to) => [...content].filter(([name]) => name >= from && name < to).sort(),
  }
}

interface Delivery {
  readonly requestId: string
  readonly nonces: readonly number[]
  answer(status: number, body?: string): void
  cut(): void
}

async function setUp(settings: Partial<OutboxSettings> = {}, database = memoryDatabase()) {
  const deliveries: Delivery[] = []
  const http: HttpClient = {
    send: (_method, _url, options) =>
      new Promise<Answer>((resolve, reject) => {
        const body = options?.json as { request_id: string; artifacts: { nonce: number }[] }
        options?.signal?.addEventListener('abort', () => reject(new Error('cancelled')))
        deliveries.push({
          requestId: body.request_id,
          nonces: body.artifacts.map((a) => a.nonce),
          answer: (status, text = '') => resolve({ status, body: text }),
          cut: () => reject(new Error('connection reset')),
        })
      }),
    open: () => {
      throw new Error('not used')
    },
    close() {},
  }
  const time = { ms: 0 }
  const instant = () => ({ bootId: 'test', bootMs: time.ms, wallMs: time.ms })
  const clock = { now: instant, since: (earlier: { bootMs: number }) => time.ms - earlier.bootMs }
  const events = {
    generated: () => undefined,
    acknowledged: () => undefined,
    dropped: () => undefined,
    delivery: () => undefined,
    redelivered: () => undefined,
  }
  const store = await openStore(database)
  const log = createLog('silent', { write: () => undefined })
  const quick = { intervalMs: 1, backoffMs: 1, maxBackoffMs: 1 }
  const outbox = await openOutbox({ store, http, clock, log, events }, { ...quick, ...settings })
  let next = 0
  const stage = () => outbox.openStage(key, 4, { deadlineMs: 100_000, generationMs: 100_000 })
  return {
    outbox,
    deliveries,
    time,
    database,
    stage,
    async add(count: number) {
      const artifacts = Array.from({ length: count }, (_, i) => ({ nonce: next + i, payload: new Uint8Array(24) }))
      next += count
      await outbox.append(stage(), 1, 0, next, artifacts)
    },
    async close() {
      await outbox.close()
      await store.close()
    },
  }
}

t.test('what an answer means', async (t) => {
  const kinds = {
    acknowledged: [200, 201, 204],
    retry: [301, 302, 307, 401, 403, 404, 408, 429, 500, 502, 503, 504],
    refused: [400, 422],
    'too large': [413],
  }
  for (const [kind, statuses] of Object.entries(kinds)) {
    for (const status of statuses) t.equal(meaningOf({ status, body: '' }).kind, kind, String(status))
  }
  t.same(meaningOf({ status: 400, body: '{"error":"block_height is not the active PoC stage"}' }), {
    kind: 'stale',
    reason: '400 block_height is not the active PoC stage',
  })
  t.match(meaningOf({ status: 503, body: '{"detail":"not in PoC\\n generate phase"}' }), {
    reason: '503 not in PoC generate phase',
  })
  t.match(meaningOf({ status: 503, body: 'null' }), { reason: '503 null' })
})

t.test('a redirect acknowledges nothing', async (t) => {
  const s = await setUp()
  t.teardown(s.close)
  await s.add(3)
  await until(() => s.deliveries.length === 1, 'delivery')
  s.deliveries[0]?.answer(302)
  await until(() => s.deliveries.length === 2, 'repetition')
  t.equal(s.stage().acknowledged, 0)
  t.equal(s.deliveries[1]?.requestId, s.deliveries[0]?.requestId)
  s.deliveries[1]?.answer(200)
  await until(() => s.stage().acknowledged === 3, 'acknowledged')
  t.equal(s.outbox.waiting(), 0)
})

t.test('a delivery without answer does not hold up the next ones', async (t) => {
  const s = await setUp({ flightsPerStage: 3 })
  t.teardown(s.close)
  for (let i = 1; i <= 3; i++) {
    await s.add(2)
    await until(() => s.deliveries.length === i, `delivery ${i}`)
  }
  t.equal(new Set(s.deliveries.map((d) => d.requestId)).size, 3)
  await s.add(2)
  s.deliveries[2]?.answer(200)
  await until(() => s.deliveries.length === 4, 'room for the next')
  for (const i of [0, 1, 3]) s.deliveries[i]?.answer(200)
  await until(() => s.outbox.waiting() === 0, 'all acknowledged')
  t.equal(s.stage().acknowledged, 8)
  t.equal(s.stage().redelivered, 0)
})

t.test('while deliveries fail one probes; before the deadline everything is offered once', async (t) => {
  const s = await setUp({ backoffMs: 10, maxBackoffMs: 10 })
  t.teardown(s.close)
  await s.outbox.setGenerating(s.stage(), true)
  await s.add(2)
  await until(() => s.deliveries.length === 1, 'first delivery')
  s.deliveries[0]?.answer(503)
  await s.add(2)
  for (let i = 1; i < 5; i++) {
    await until(() => s.deliveries.length === i + 1, 'repetition')
    s.deliveries[i]?.answer(503)
  }
  t.same([...new Set(s.deliveries.flatMap((d) => d.nonces))], [0, 1], 'the rest waits')
  t.notOk(s.outbox.isOver(s.stage()))
  s.time.ms = 96_000
  t.ok(s.outbox.isOver(s.stage()), 'what would come now could not be offered')
  const answered = new Set<Delivery>(s.deliveries.slice(0, 5))
  const refuseAll = () => {
    for (const d of s.deliveries) if (!answered.has(d)) d.answer(503)
    for (const d of s.deliveries) answered.add(d)
  }
  await until(() => {
    refuseAll()
    return s.deliveries.some((d) => d.nonces.includes(2))
  }, 'the last call')
  s.time.ms = 100_000
  await until(() => {
    refuseAll()
    return s.stage().dropped === 4 || s.outbox.waiting() === 0
  }, 'the deadline')
})

t.test('flights keep their batch through a restart; an answer after the end still counts', async (t) => {
  const s = await setUp({ maxBatch: 2 })
  await s.add(2)
  await until(() => s.deliveries.length === 1, 'first')
  await s.add(2)
  await until(() => s.deliveries.length === 2, 'second')
  await s.close()
  const again = await setUp({ maxBatch: 2 }, s.database)
  t.teardown(again.close)
  await until(() => again.deliveries.length === 2, 'both again')
  const batch = (d: Delivery) => `${d.requestId} ${d.nonces}`
  t.same(again.deliveries.map(batch).sort(), s.deliveries.map(batch).sort())
  again.deliveries[0]?.answer(400, 'block_height is not the active PoC stage')
  await until(() => again.outbox.stages()[0]?.closed !== null, 'the stage ends')
  again.deliveries[1]?.answer(200)
  await until(() => again.outbox.waiting() === 0, 'the other answer')
  const [record] = again.outbox.stages()
  t.match(record, { generated: 4, acknowledged: 2, dropped: 2, redelivered: 4 })
  await until(() => ![...s.database.content.keys()].some((name) => /^(chunk|flight)\//.test(name)), 'nothing is left')
})

t.test('a batch that is too large is split, a single chunk that is too large is dropped', async (t) => {
  const s = await setUp({ intervalMs: 10_000 })
  t.teardown(s.close)
  await s.outbox.setGenerating(s.stage(), true)
  await s.add(4)
  await s.add(4)
  void s.outbox.flush(s.stage(), 1e6)
  await until(() => s.deliveries.length === 1, 'one batch of two chunks')
  t.equal(s.deliveries[0]?.nonces.length, 8)
  s.deliveries[0]?.answer(413)
  await until(() => s.deliveries.length === 3, 'two halves')
  t.same(
    s.deliveries.slice(1).map((d) => d.nonces.length),
    [4, 4],
  )
  s.deliveries[1]?.answer(413)
  s.deliveries[2]?.answer(200)
  await until(() => s.outbox.waiting() === 0, 'the end')
  t.match(s.stage(), { acknowledged: 4, dropped: 4 })
})
