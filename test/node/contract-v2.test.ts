import t from 'tap'
import { decodeVector, encodeVector } from '../../lib/protocol/artifact-vector.ts'
import { embeddingArtifact } from '../../lib/protocol/embedding-artifact.ts'
import { initBody, removeFolder, startNode, startPeer, until } from './peer.ts'

const pow = '/api/v1/inference/pow'
// Waits are generous: a busy machine is slow, not wrong.
t.setTimeout(120_000)
const job = { blockHash: '9F2CA1', publicKey: '02a1b2', seqLen: 64, dim: 64, kDim: 12, strongerRng: false }

t.test('init/generate: answer, callbacks, partition, status, stop', async (t) => {
  const peer = await startPeer()
  const node = await startNode({ 'engine.groups': '2' })
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  const idle = await node.call('GET', `${pow}/status`)
  t.same(idle.json, {
    status: 'IDLE',
    backends: [5001, 5002].map((port) => ({ port, status: 'IDLE', config: null, stats: null })),
  })
  // The network node escapes the model id twice; the path must arrive as it was given.
  const url = `${peer.url}/v2/poc-batches/MiniMaxAI%252FMiniMax-M2.7`
  const init = await node.call('POST', `${pow}/init/generate`, initBody(url, { unknown_field: 1 }))
  t.equal(init.status, 200)
  t.same(init.json, {
    status: 'OK',
    backends: 2,
    n_groups: 2,
    results: [
      { port: 5001, status: 'OK' },
      { port: 5002, status: 'OK' },
    ],
    errors: null,
  })
  const again = await node.call('POST', `${pow}/init/generate`, initBody(url))
  t.equal(again.status, 409)
  t.same(again.json, { detail: 'Already generating' })
  t.equal((await node.call('POST', `${pow}/init/generate`, initBody(url, { block_hash: 'other' }))).status, 409)
  await until(() => peer.accepted.size > 100, '100 artifacts')
  const running = await node.call('GET', `${pow}/status`)
  t.equal(running.json.status, 'GENERATING')
  t.match(running.json.backends[1], {
    port: 5002,
    status: 'GENERATING',
    config: {
      block_hash: '9F2CA1',
      block_height: 6218000,
      node_id: 1,
      node_count: 2,
      group_id: 1,
      n_groups: 2,
      seq_len: 64,
      k_dim: 12,
    },
  })
  t.ok(running.json.backends[1].stats.total_processed > 0)
  t.ok(running.json.backends[1].stats.nonces_per_second > 0)
  t.equal((await node.call('GET', '/api/v1/state')).json.poc_status, 'GENERATING')
  const stop = await node.call('POST', `${pow}/stop`)
  t.same(stop.json, {
    status: 'OK',
    results: [
      { port: 5001, status: 'stopped' },
      { port: 5002, status: 'stopped' },
    ],
    errors: null,
  })
  t.equal(node.context.outbox.waiting(), 0, 'stop delivered what was left')
  const stage = node.context.outbox.stages()[0]
  t.equal(peer.accepted.size, stage?.generated)
  t.equal(stage?.acknowledged, stage?.generated)
  t.ok([...peer.accepted.values()].every((times) => times === 1))
  const nonces = [...peer.accepted.keys()].sort((a, b) => a - b)
  t.ok(
    nonces.every((n) => n % 2 === 1),
    'node 1 of 2',
  )
  // Two groups advance alone, but each is dense from its start.
  for (const group of [0, 1]) {
    const own = nonces.filter((n) => ((n - 1) / 2) % 2 === group)
    t.same(
      own,
      own.map((_, x) => 1 + group * 2 + x * 4),
    )
  }
  const first = peer.callbacks[0]
  t.equal(first?.path, '/v2/poc-batches/MiniMaxAI%252FMiniMax-M2.7/generated')
  t.match(first?.body, {
    block_hash: '9F2CA1',
    block_height: 6218000,
    public_key: '02a1b2',
    node_id: 1,
    encoding: { dtype: 'f16', k_dim: 12, endian: 'le' },
    request_id: String,
  })
  const artifacts = peer.callbacks.flatMap((c) => c.body.artifacts as { nonce: number; vector_b64: string }[])
  for (const { nonce, vector_b64 } of artifacts.slice(0, 20)) {
    t.equal(vector_b64, encodeVector(embeddingArtifact(job, nonce)), `nonce ${nonce}`)
    t.equal(vector_b64.length, 32)
  }
  t.equal((await node.call('POST', `${pow}/stop`)).status, 200, 'stop when idle is fine')
  t.equal((await node.call('GET', `${pow}/status`)).json.status, 'IDLE')
  const before = peer.accepted.size
  t.equal((await node.call('POST', `${pow}/init/generate`, initBody(url))).status, 200, 'the same stage may go on')
  await until(() => peer.accepted.size > before, 'more artifacts')
  await node.call('POST', `${pow}/stop`)
  t.ok(
    [...peer.accepted.values()].every((times) => times === 1),
    'nothing generated twice',
  )
})

t.test('init/generate: what is refused', async (t) => {
  const node = await startNode()
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  const init = (body: unknown) => node.call('POST', `${pow}/init/generate`, body)
  for (const [field, more] of [
    ['block_hash', { block_hash: undefined }],
    ['block_hash', { block_hash: 5 }],
    ['block_height', { block_height: '12x' }],
    ['node_count', { node_count: 0 }],
    ['node_id', { node_id: -1 }],
    ['node_id', { node_id: 1.5 }],
    ['batch_size', { batch_size: -1 }],
    ['public_key', { public_key: null }],
    ['url', { url: 7 }],
  ] as const) {
    const reply = await init(initBody(null, more))
    t.equal(reply.status, 422, `${field} ${JSON.stringify(more)}`)
    t.same(reply.json.detail[0].loc, ['body', field])
  }
  const missing = await init(initBody(null, { params: undefined }))
  t.match(missing.json, { detail: [{ type: 'missing', loc: ['body', 'params'], msg: 'Field required' }] })
  const extra = await init(initBody(null, { params: { model: 'test/model', seq_len: 64, other: 1 } }))
  t.equal(extra.status, 422, 'unknown keys in params')
  for (const text of ['', '{', '[]', 'null', '"x"', '12']) t.equal((await init(text)).status, 422, `body ${text}`)
  const wrong = await init(initBody(null, { params: { model: 'other/model', seq_len: 64 } }))
  t.equal(wrong.status, 409)
  t.match(wrong.json.detail, { error: String, requested: { model: 'other/model' }, deployed: { model: 'test/model' } })
  for (const more of [
    { params: { model: 'test/model', seq_len: 64, scheme: 'decode' } },
    { params: { model: 'test/model', seq_len: 64, max_tokens: 256 } },
    { decode: true },
  ]) {
    t.equal((await init(initBody(null, more))).status, 409, JSON.stringify(more))
  }
  for (const url of [
    'http://169.254.169.254/latest',
    'http://[fe80::1]/',
    'http://8.8.8.8/',
    'http://[::ffff:8.8.8.8]/',
    'file:///etc/passwd',
    'ftp://127.0.0.1/',
    'http://user:pw@127.0.0.1/',
    'not a url',
  ]) {
    const reply = await init(initBody(url))
    t.equal(reply.status, 400, url)
    t.match(reply.json.detail, /^url: /)
  }
  // Integers as text and integral floats are accepted like the reference's; prefill spellings too.
  const lax = initBody(null, {
    block_height: '6218000',
    node_id: 1.0,
    params: { model: 'test/model', seq_len: '64', scheme: 'prefill', max_tokens: 0 },
    poc_stronger_rng: null,
  })
  t.equal((await init(lax)).status, 200)
  t.equal((await node.call('POST', `${pow}/stop`)).status, 200)
  t.equal((await node.call('GET', `${pow}/init/generate`)).status, 405)
  t.equal((await node.call('GET', `${pow}/nothing`)).status, 404)
  t.same((await node.call('GET', '/nothing')).json, { detail: 'Not Found' })
})

t.test('without a model there are no backends', async (t) => {
  const node = await startNode({ 'engine.autostart': '' })
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  t.same((await node.call('GET', `${pow}/status`)).json, { status: 'NO_BACKENDS', backends: [] })
  t.equal((await node.call('POST', `${pow}/init/generate`, initBody(null))).status, 503)
  t.equal((await node.call('POST', `${pow}/generate`, { ...initBody(null), nonces: [1] })).status, 503)
  const stop = await node.call('POST', `${pow}/stop`)
  t.equal(stop.status, 200)
  t.match(stop.json, { status: String, message: String })
})

t.test('generate: queued, inline, results, limits', async (t) => {
  const peer = await startPeer()
  const node = await startNode({ 'poc.max_queued_nonces': '300' })
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  const generate = (more: Record<string, unknown>) =>
    node.call('POST', `${pow}/generate`, { ...initBody(null), ...more })
  const inline = await generate({ nonces: [4, 10, 16], wait: true, url: peer.url })
  t.equal(inline.status, 200)
  t.match(inline.json, { status: 'completed', request_id: /^5001:[0-9a-f-]{36}$/, encoding: { k_dim: 12 } })
  t.same(
    inline.json.artifacts.map((a: { nonce: number }) => a.nonce),
    [4, 10, 16],
  )
  t.equal(inline.json.artifacts[0].vector_b64, encodeVector(embeddingArtifact(job, 4)))
  const queued = await generate({ nonces: [4, 10, 16] })
  t.match(queued.json, { status: 'queued', request_id: /^5001:/, queued_count: 3 })
  const id = queued.json.request_id as string
  await until(async () => (await node.call('GET', `${pow}/generate/${id}`)).json.status === 'completed', 'completed')
  t.match((await node.call('GET', `${pow}/generate/${id}`)).json, { request_id: id, artifacts: [{ nonce: 4 }] })
  t.equal((await node.call('GET', `${pow}/generate/5001:00000000-0000-0000-0000-000000000000`)).status, 404)
  t.equal((await node.call('GET', `${pow}/generate/5009:00000000-0000-0000-0000-000000000000`)).status, 404)
  t.equal((await node.call('GET', `${pow}/generate/nonsense`)).status, 400)
  t.equal(peer.callbacks.length, 0, 'neither an inline nor a plain job calls back')
  for (const nonces of [[-1], [1.5], ['x'], 'abc', undefined]) t.equal((await generate({ nonces })).status, 422)
  // While generating the queue waits, so it fills.
  await node.call('POST', `${pow}/init/generate`, initBody(null))
  const many = Array.from({ length: 200 }, (_, i) => i)
  t.equal((await generate({ nonces: many })).status, 200)
  const full = await generate({ nonces: many })
  t.equal(full.status, 429)
  t.match(full.json.detail, /200 nonces wait, at most 300/)
  const waiting = await generate({ nonces: [1] })
  t.equal((await node.call('GET', `${pow}/generate/${waiting.json.request_id}`)).json.status, 'queued')
  await node.call('POST', `${pow}/stop`)
  t.equal(
    (await node.call('GET', `${pow}/generate/${waiting.json.request_id}`)).status,
    404,
    'stop clears queue and results',
  )
  t.equal((await node.call('GET', `${pow}/generate/${id}`)).status, 404)
})

t.test('generate with validation: verdicts, thresholds under both names, callbacks', async (t) => {
  const peer = await startPeer()
  const node = await startNode()
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  const nonces = Array.from({ length: 50 }, (_, i) => 3 + 2 * i)
  const honest = nonces.map((nonce) => ({ nonce, vector_b64: encodeVector(embeddingArtifact(job, nonce)) }))
  const lie = (count: number) =>
    honest.map((a, i) =>
      i < count ? { ...a, vector_b64: encodeVector((decodeVector(a.vector_b64) as Float32Array).map((x) => -x)) } : a,
    )
  const validate = (artifacts: unknown, more: Record<string, unknown> = {}) =>
    node.call('POST', `${pow}/generate`, {
      ...initBody(`${peer.url}/v2/poc-batches/m`, { node_id: 7, node_count: 3 }),
      nonces,
      validation: { artifacts },
      stat_test: { dist_threshold: 0.75, p_mismatch: 0.1, p_value_threshold: 0.05 },
      ...more,
    })
  const good = await validate(honest)
  t.equal(good.status, 200, 'node_id beyond node_count is legal in validation')
  await until(() => peer.callbacks.length === 1, 'verdict')
  t.equal(peer.callbacks[0]?.path, '/v2/poc-batches/m/validated')
  t.same(peer.callbacks[0]?.body, {
    request_id: good.json.request_id,
    block_hash: '9F2CA1',
    block_height: 6218000,
    public_key: '02a1b2',
    node_id: 7,
    n_total: 50,
    n_mismatch: 0,
    mismatch_nonces: [],
    p_value: 1,
    fraud_detected: false,
    n_excluded: 0,
    excluded_nonces: [],
  })
  const wait = { wait: true, url: null }
  t.match((await validate(lie(9), wait)).json, {
    n_mismatch: 9,
    fraud_detected: false,
    fraud_threshold: 0.05,
    fraud_threshold_source: 'p_value_threshold',
  })
  t.match((await validate(lie(10), wait)).json, { n_mismatch: 10, fraud_detected: true })
  const named = {
    ...wait,
    stat_test: { dist_threshold: 0.75, p_mismatch: 0.1, fraud_threshold: 0.01, p_value_threshold: 0.05 },
  }
  t.match((await validate(lie(10), named)).json, {
    fraud_detected: false,
    fraud_threshold: 0.01,
    fraud_threshold_source: 'fraud_threshold',
  })
  t.match((await validate(lie(2), { ...wait, stat_test: undefined })).json, {
    fraud_detected: true,
    fraud_threshold: 0.01,
    fraud_threshold_source: 'default',
  })
  t.match(
    (
      await validate(
        honest.map((a) => ({ ...a, vector_b64: 'AAAA' })),
        wait,
      )
    ).json,
    { n_mismatch: 50, fraud_detected: true },
  )
  t.equal((await validate(honest.slice(1))).status, 400, 'fewer artifacts than nonces')
  t.equal((await validate([...honest, honest[0]])).status, 400, 'an artifact twice')
  t.equal((await validate(honest, { nonces: [...nonces, 999] })).status, 400)
  t.equal((await validate(honest, { stat_test: { p_mismatch: 2 } })).status, 422)
  // A verdict that meets 503 is kept and repeated; 400 drops it.
  let answers = [503, 503, 200]
  peer.answer = () => answers.shift() ?? 200
  await validate(lie(20))
  await until(
    () => peer.callbacks.filter((c) => c.path.endsWith('/validated')).length === 4,
    'repeated verdict',
    15_000,
  )
  t.match(peer.callbacks[3]?.body, { n_mismatch: 20, fraud_detected: true })
  answers = [400]
  await validate(honest)
  await until(() => peer.callbacks.length === 5, 'refused verdict')
  await until(() => node.logs.some((line) => line.includes('verdict refused')), 'log')
})

t.test('the replica-level routes on the inference port', async (t) => {
  const peer = await startPeer()
  const node = await startNode({ 'engine.groups': '2' })
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  t.same((await node.callInference('GET', '/api/v1/pow/status')).json, { status: 'IDLE', config: null, stats: null })
  const init = await node.callInference(
    'POST',
    '/api/v1/pow/init/generate',
    initBody(peer.url, { group_id: 2, n_groups: 3 }),
  )
  t.same(init.json, { status: 'OK', pow_status: { status: 'GENERATING' } })
  t.equal((await node.callInference('POST', '/api/v1/pow/init/generate', initBody(peer.url))).status, 409)
  await until(() => peer.accepted.size > 60, 'artifacts')
  t.same((await node.callInference('POST', '/api/v1/pow/stop')).json, {
    status: 'OK',
    pow_status: { status: 'STOPPED' },
  })
  t.ok(
    [...peer.accepted.keys()].every((n) => (n - 1 - 2 * 2) % 6 === 0),
    'both devices stay within group 2 of 3',
  )
  t.ok(
    [...peer.accepted.keys()].some((n) => ((n - 5) / 6) % 2 === 1),
    'the second device worked too',
  )
  const generated = await node.callInference('POST', '/api/v1/pow/generate', {
    ...initBody(null),
    nonces: [1],
    wait: true,
  })
  t.equal(generated.json.status, 'completed')
  t.equal((await node.callInference('GET', '/health')).status, 200)
  t.match((await node.callInference('GET', '/v1/models')).json, { data: [{ id: 'test/model' }] })
  t.equal((await node.callInference('POST', '/v1/chat/completions', {})).status, 503)
})
