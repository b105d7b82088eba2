import t from 'tap'
import { loadNative } from '../../lib/native.ts'
import { namedParams } from '../../lib/protocol/params.ts'
import { initBody, removeFolder, startNode, startPeer, until } from './peer.ts'

const params = {
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
}
const initV1 = (url: string | null, more: Record<string, unknown> = {}) => ({
  node_id: 1,
  node_count: 2,
  block_hash: 'AB12',
  block_height: 77,
  public_key: '02ab',
  batch_size: 32,
  r_target: 1.4,
  fraud_threshold: 1e-7,
  params,
  url,
  ...more,
})
const minute = 60_000
t.setTimeout(5 * minute)

t.test('PoC v1: init, phases, batches, validation, conflicts', { timeout: 4 * minute }, async (t) => {
  const peer = await startPeer()
  const node = await startNode({ 'engine.kind': 'v1', 'engine.autostart': '' }, { native: async () => loadNative() })
  t.teardown(async () => {
    await node.close()
    await peer.close()
    removeFolder(node.folder)
  })
  const call = (path: string, body?: unknown) => node.call('POST', `/api/v1/pow${path}`, body)
  const status = async () => (await node.call('GET', '/api/v1/pow/status')).json
  t.same(await status(), { status: 'IDLE', is_model_initialized: false })
  t.equal((await call('/phase/generate')).status, 400, 'not running')
  t.equal((await call('/phase/validate')).status, 400)
  const batch = { public_key: '03', block_hash: 'AB12', block_height: 77, nonces: [1], dist: [1.2], node_id: 0 }
  t.equal((await call('/validate', batch)).status, 400)
  t.equal((await call('/stop')).status, 200)
  t.equal((await call('/init/generate', initV1(null, { node_id: -1, node_count: -1 }))).status, 400)
  t.equal((await call('/init/generate', initV1(null, { node_id: 2 }))).status, 400)
  t.equal((await call('/init/generate', initV1('http://8.8.8.8/'))).status, 400)
  for (const more of [
    { params: { ...params, dim: 65 } },
    { params: { ...params, extra: 1 } },
    { r_target: 'x' },
    { params: undefined },
  ]) {
    t.equal((await call('/init/generate', initV1(null, more))).status, 422, JSON.stringify(more).slice(0, 40))
  }
  t.equal((await node.call('POST', '/api/v1/inference/up', { model: 'm' })).status, 500, 'v1 engines serve no model')
  const init = await call('/init/generate', initV1(`${peer.url}/v1/poc-batches`))
  t.equal(init.status, 200)
  t.match(init.json, { status: 'OK', pow_status: { status: /LOADING|GENERATING/ } })
  t.match((await node.call('GET', '/api/v1/state')).json, { state: 'POW', poc_status: null })
  t.equal((await node.call('POST', '/api/v1/inference/up', { model: 'm' })).status, 409)
  t.match((await node.call('POST', '/api/v1/inference/down')).json.detail, /INFERENCE.*POW/)
  t.equal((await call('/init/generate', initV1(`${peer.url}/v1/poc-batches`))).status, 200, 'the same init again')
  t.equal((await call('/init/generate', initV1(null, { block_hash: 'CD' }))).status, 409)
  await until(() => peer.accepted.size > 40, 'distances below the target', 2 * minute)
  t.same(await status(), { status: 'GENERATING', is_model_initialized: true })
  const first = peer.callbacks[0]
  t.equal(first?.path, '/v1/poc-batches/generated')
  t.match(first?.body, {
    public_key: '02ab',
    block_hash: 'AB12',
    block_height: 77,
    node_id: 1,
    nonces: Array,
    dist: Array,
  })
  const found = peer.callbacks.flatMap((c) =>
    (c.body.nonces as number[]).map((nonce, i) => [nonce, (c.body.dist as number[])[i]] as [number, number]),
  )
  t.ok(found.every(([nonce, dist]) => nonce % 2 === 1 && dist > 0 && dist < 1.4))
  const validate = await call('/phase/validate')
  t.match(validate.json, { status: 'OK', pow_status: { status: 'VALIDATING' } })
  const before = peer.accepted.size
  const sample = found.slice(0, 20)
  const honest = { ...batch, public_key: '02ab', nonces: sample.map(([n]) => n), dist: sample.map(([, d]) => d) }
  t.equal((await call('/validate', honest)).status, 200)
  const verdicts = () => peer.callbacks.filter((c) => c.path.endsWith('/validated')).map((c) => c.body)
  await until(() => verdicts().length === 1, 'verdict', minute)
  t.match(verdicts()[0], {
    ...honest,
    received_dist: honest.dist,
    r_target: 1.4,
    fraud_threshold: 1e-7,
    n_invalid: 0,
    probability_honest: 1,
    fraud_detected: false,
  })
  const own = verdicts()[0]?.dist as number[]
  own.forEach((d, i) => {
    t.ok(Math.abs(d - (honest.dist[i] as number)) < 2e-3, 'recomputed distance')
  })
  const lie = { ...honest, public_key: '03ff', dist: honest.dist.map(() => 1.0) }
  await call('/validate', lie)
  await until(() => verdicts().length === 2, 'second verdict', minute)
  t.match(verdicts()[1], { fraud_detected: true })
  t.ok((verdicts()[1]?.n_invalid as number) >= 5)
  t.equal((await call('/validate', { ...honest, block_hash: 'other' })).status, 400)
  t.equal(
    (await call('/validate', { ...honest, dist: honest.dist.map(() => 1.4) })).status,
    400,
    'not below the target',
  )
  t.equal((await call('/validate', { ...honest, dist: [1] })).status, 422)
  t.equal(peer.accepted.size, before, 'validating does not generate')
  await call('/phase/generate')
  await until(() => peer.accepted.size > before, 'generation goes on', minute)
  t.ok(
    [...peer.accepted.values()].every((n) => n === 1),
    'with new nonces',
  )
  const stop = await call('/stop')
  t.match(stop.json, { status: 'OK', pow_status: { status: 'STOPPED', is_model_initialized: false } })
  t.equal((await node.call('GET', '/api/v1/state')).json.state, 'STOPPED')
  t.ok(namedParams.v2.dim === 1792)
})

t.test('PoC v1 and inference exclude each other; a node without v1 has no such routes', async (t) => {
  const node = await startNode()
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  t.equal((await node.call('POST', '/api/v1/pow/init/generate', initV1(null))).status, 404)
  t.equal((await node.call('GET', '/api/v1/pow/status')).status, 404)
  t.equal((await node.call('POST', '/api/v1/inference/pow/init/generate', initBody(null))).status, 200)
})
