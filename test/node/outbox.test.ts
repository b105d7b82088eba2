import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { chunkCount, decodeChunk, encodeChunk, isGenerated, planNonces } from '../../lib/node/outbox/stages.ts'
import { type Database, levelDatabase, openStore } from '../../lib/node/outbox/store.ts'
import { systemClock } from '../../lib/node/stage-clock.ts'
import { initBody, removeFolder, startNode, startPeer, until } from './peer.ts'

const pow = '/api/v1/inference/pow'
// Waits are generous: a busy machine is slow, not wrong.
t.setTimeout(120_000)
const requestIds = (peer: { callbacks: { body: Record<string, unknown>; status: number }[] }, nonce: number) =>
  new Set(
    peer.callbacks
      .filter((c) => (c.body.artifacts as { nonce: number }[]).some((a) => a.nonce === nonce))
      .map((c) => c.body.request_id),
  )

t.test('503 keeps, repeats under the same request id, and everything arrives once', async (t) => {
  const peer = await startPeer()
  const node = await startNode()
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  let refuse = true
  peer.answer = () => (refuse ? 503 : 200)
  await node.call('POST', `${pow}/init/generate`, initBody(peer.url))
  await until(() => peer.callbacks.length >= 4, 'repetitions')
  const early = peer.callbacks.flatMap((c) => (c.body.artifacts as { nonce: number }[]).map((a) => a.nonce))
  for (const nonce of early) t.equal(requestIds(peer, nonce).size, 1, `nonce ${nonce} in one batch only`)
  refuse = false
  await until(() => peer.accepted.size > 300, 'delivery')
  await node.call('POST', `${pow}/stop`)
  const stage = node.context.outbox.stages()[0]
  t.equal(peer.accepted.size, stage?.generated)
  t.ok([...peer.accepted.values()].every((n) => n === 1))
  t.ok((stage?.redelivered ?? 0) > 0, 'repetitions are counted')
})

t.test('an answer that is lost: the same batch again, nothing twice as new', async (t) => {
  const peer = await startPeer()
  const node = await startNode()
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  let n = 0
  peer.answer = () => (n++ % 3 === 0 ? 0 : 200)
  await node.call('POST', `${pow}/init/generate`, initBody(peer.url))
  await until(() => peer.accepted.size > 200, 'delivery')
  await node.call('POST', `${pow}/stop`)
  t.equal(node.context.outbox.waiting(), 0)
  for (const nonce of peer.accepted.keys()) t.equal(requestIds(peer, nonce).size, 1, `nonce ${nonce} in one batch only`)
  t.ok([...peer.accepted.values()].every((times) => times === 1))
})

t.test('400: a refused batch is dropped with its reason, a stale stage ends', async (t) => {
  const peer = await startPeer()
  const node = await startNode()
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  let first = true
  peer.answer = () => {
    if (!first) return 200
    first = false
    return { status: 400, body: '{"error":"invalid base64 in artifact vector"}' }
  }
  await node.call('POST', `${pow}/init/generate`, initBody(peer.url))
  await until(() => peer.accepted.size > 100, 'later batches')
  const stage = node.context.outbox.stages()[0]
  t.ok((stage?.dropped ?? 0) > 0)
  t.same(Object.keys(stage?.droppedBy ?? {}), ['400 invalid base64 in artifact vector'])
  t.equal(requestIds(peer, 1).size, 1, 'a dropped batch is not repeated')
  peer.answer = () => ({ status: 400, body: 'block_height is not the active PoC stage' })
  await until(async () => (await node.call('GET', `${pow}/status`)).json.status === 'IDLE', 'generation ends')
  t.match(stage?.closed, /not the active PoC stage/)
  const calls = peer.callbacks.length
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.equal(peer.callbacks.length, calls, 'nothing more is sent')
  t.equal(stage?.generated, (stage?.acknowledged ?? 0) + (stage?.dropped ?? 0))
})

t.test('a restart resumes: nothing lost, nothing generated twice', async (t) => {
  const peer = await startPeer()
  const folder = mkdtempSync(join(tmpdir(), 'gonka-restart-'))
  t.teardown(async () => {
    await peer.close()
    removeFolder(folder)
  })
  peer.answer = () => 503
  const first = await startNode({ 'engine.groups': '2' }, {}, folder)
  await first.call('POST', `${pow}/init/generate`, initBody(peer.url))
  await until(() => (first.context.outbox.stages()[0]?.generated ?? 0) > 200, 'artifacts')
  await first.close()
  peer.answer = () => 200
  // Another number of groups: the layouts overlap, the nonces must not.
  const second = await startNode({ 'engine.groups': '3' }, {}, folder)
  t.equal((await second.call('GET', '/api/v1/state')).json.state, 'INFERENCE', 'the model came back')
  t.equal((await second.call('GET', `${pow}/status`)).json.status, 'GENERATING', 'generation goes on')
  await until(() => peer.accepted.size > 600, 'delivery')
  await second.call('POST', `${pow}/stop`)
  const stage = second.context.outbox.stages()[0]
  t.equal(peer.accepted.size, stage?.generated)
  t.equal(stage?.acknowledged, stage?.generated)
  t.ok([...peer.accepted.values()].every((n) => n === 1))
  const sorted = [...peer.accepted.keys()].sort((a, b) => a - b)
  for (let i = 0; i < 150; i++) t.equal(sorted[i], 1 + 2 * i, 'dense at the start')
  await second.close()
})

t.test('the deadline ends a stage and drops what cannot count any more', async (t) => {
  const peer = await startPeer()
  peer.answer = () => 503
  const node = await startNode({ 'poc.stage_deadline_s': '1' })
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  await node.call('POST', `${pow}/init/generate`, initBody(peer.url))
  const stage = node.context.outbox.stages()[0]
  await until(() => stage?.closed !== null, 'closed')
  t.equal(stage?.closed, 'deadline')
  await until(() => stage?.dropped === stage?.generated, 'everything dropped')
  await until(async () => (await node.call('GET', `${pow}/status`)).json.status === 'IDLE', 'idle')
  const generated = stage?.generated
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.equal(stage?.generated, generated, 'late work is not generated')
})

/** A database on a disk that can fill up. */
function breakable(path: string): Database & { full: boolean; writes: number } {
  const inner = levelDatabase(path, false)
  return {
    full: false,
    writes: 0,
    open: () => inner.open(),
    close: () => inner.close(),
    get: (key) => inner.get(key),
    entries: (from, to, limit) => inner.entries(from, to, limit),
    async batch(operations) {
      this.writes++
      if (this.full) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      await inner.batch(operations)
    },
  }
}

t.test('a full disk: work goes on from memory, is reported, and is stored when there is room', async (t) => {
  const peer = await startPeer()
  const folder = mkdtempSync(join(tmpdir(), 'gonka-full-'))
  const database = breakable(join(folder, 'store'))
  const node = await startNode({}, { database }, folder)
  t.teardown(async () => {
    await peer.close()
    removeFolder(folder)
  })
  await node.call('POST', `${pow}/init/generate`, initBody(peer.url))
  await until(() => peer.accepted.size > 50, 'artifacts before')
  database.full = true
  const before = peer.accepted.size
  await until(() => peer.accepted.size > before + 300, 'artifacts while the disk is full')
  t.equal(
    (await node.call('GET', '/health')).json.store?.degraded ??
      (await node.call('GET', '/readyz')).json.ready === false,
    true,
  )
  t.equal((await node.call('GET', '/readyz')).status, 503)
  t.match((await node.call('GET', '/metrics')).text, /gonka_miner_store_degraded 1/)
  t.ok(node.logs.some((line) => line.includes('the disk refuses writes')))
  peer.answer = () => 503
  const stage = node.context.outbox.stages()[0]
  const held = stage?.generated ?? 0
  await until(() => (stage?.generated ?? 0) > held + 100, 'artifacts that exist in memory only')
  database.full = false
  await until(() => !node.context.store.health().degraded, 'recovery')
  await until(() => node.context.store.health().pendingBytes === 0, 'flush')
  await node.close()
  peer.answer = () => 200
  const again = await startNode({}, {}, folder)
  await until(
    () => peer.accepted.size >= (again.context.outbox.stages()[0]?.generated ?? 1e9) - 100,
    'the rest after a restart',
  )
  await again.call('POST', `${pow}/stop`)
  const after = again.context.outbox.stages()[0]
  t.equal(peer.accepted.size, after?.generated)
  t.ok([...peer.accepted.values()].every((n) => n === 1))
  await again.close()
})

t.test(
  'the store shows writes at once, keeps them across reopening, and merges what is pending into lists',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'gonka-store-'))
    const database = breakable(folder)
    const store = await openStore(database, { retryMs: 20 })
    const bytes = (text: string) => new TextEncoder().encode(text)
    await store.write([
      ['a/1', bytes('1')],
      ['a/2', bytes('2')],
      ['b/1', bytes('x')],
    ])
    database.full = true
    const pending = store.write([
      ['a/2', null],
      ['a/3', bytes('3')],
    ])
    t.equal(await store.read('a/2'), undefined)
    await until(() => store.health().degraded, 'degraded')
    t.match(store.health(), { degraded: true, error: /ENOSPC/ })
    await until(async () => (await store.list('a/')).length === 2, 'list')
    t.same(
      (await store.list('a/')).map(([key]) => key),
      ['a/1', 'a/3'],
    )
    database.full = false
    await pending
    await store.close()
    const back = await openStore(levelDatabase(folder, false))
    t.same(
      (await back.list('a/')).map(([key, value]) => [key, new TextDecoder().decode(value)]),
      [
        ['a/1', '1'],
        ['a/3', '3'],
      ],
    )
    t.equal((await back.list('a/', 1)).length, 1)
    await t.rejects(openStore(levelDatabase(folder, false)), { code: 'ERR_GK_FILE', message: /another node/ })
    await back.close()
    removeFolder(folder)
  },
)

t.test('properties: chunks, cursors and plans', async (t) => {
  const artifact = fc.record({
    nonce: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    payload: fc.uint8Array({ maxLength: 64 }),
  })
  fc.assert(
    fc.property(fc.array(artifact, { maxLength: 50 }), (list) => {
      const bytes = encodeChunk(list)
      t.equal(chunkCount(bytes), list.length)
      t.strictSame(
        decodeChunk(bytes).map((a) => [a.nonce, Buffer.from(a.payload).toString('hex')]),
        list.map((a) => [a.nonce, Buffer.from(a.payload).toString('hex')]),
      )
    }),
    { numRuns: 50 },
  )
  t.throws(() => decodeChunk(encodeChunk([{ nonce: 1, payload: new Uint8Array(9) }]).subarray(0, 15)), RangeError)
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(40),
      fc.nat(40),
      (n1, n2, a, b) => {
        const stage = { nodeId: 3, nodeCount: 4, cursors: [{ nGroups: n1, groupId: a % n1, next: a }] }
        const g2 = b % n2
        const done = new Set<number>()
        for (let i = 0; i < 1000; i++) if (isGenerated(stage.cursors, i)) done.add(3 + 4 * i)
        t.equal(done.size, a)
        const plan = planNonces(stage, n2, g2, 0, 20)
        const same = n1 === n2 && g2 === a % n1
        if (!same) t.ok(plan.nonces.every((nonce) => !done.has(nonce)))
        t.ok(plan.nonces.every((nonce) => ((nonce - 3) / 4) % n2 === g2))
      },
    ),
    { numRuns: 50 },
  )
  const end = planNonces({ nodeId: 1, nodeCount: 2 ** 30, cursors: [] }, 1, 0, 0, 10)
  t.same(end.nonces, [1, 1 + 2 ** 30], 'int32 ends the space')
})

t.test('the stage clock ignores jumps of the wall clock within a boot', async (t) => {
  const clock = systemClock()
  const now = clock.now()
  t.ok(clock.since({ ...now, wallMs: now.wallMs - 300_000 }) < 1000, 'five minutes ahead')
  t.ok(clock.since({ ...now, bootMs: now.bootMs - 5000, wallMs: now.wallMs + 300_000 }) >= 5000, 'five minutes back')
  t.ok(clock.since({ bootId: 'another boot', bootMs: now.bootMs, wallMs: now.wallMs - 60_000 }) >= 60_000)
  t.equal(clock.since({ bootId: 'another boot', bootMs: 0, wallMs: now.wallMs + 60_000 }), 0)
})
