import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { embeddingEngine } from '../../lib/node/embedding-engine.ts'
import { withoutVersionPrefix } from '../../lib/node/server.ts'
import { initBody, removeFolder, startNode, until } from './peer.ts'

t.test('state, inference control, health', async (t) => {
  const node = await startNode({ 'engine.autostart': '' })
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  const version = node.context.version
  t.same((await node.call('GET', '/api/v1/state')).json, {
    state: 'STOPPED',
    version,
    poc_status: null,
    inference_healthy: false,
    loaded_model: null,
    poc_validation_inference: false,
  })
  t.match((await node.call('GET', '/api/v1/inference/up/status')).json, {
    status: 'not_started',
    is_running: false,
    error: null,
  })
  t.match((await node.callInference('GET', '/health')).status, 503)
  const wrong = await node.call('POST', '/api/v1/inference/up', { model: 'other/model' })
  t.equal(wrong.status, 500)
  t.match(wrong.json.detail, /serves test\/model, not other\/model/)
  t.match((await node.call('GET', '/api/v1/inference/up/status')).json, { status: 'failed', error: /other\/model/ })
  t.equal((await node.call('POST', '/api/v1/inference/up', {})).status, 422)
  const up = await node.call('POST', '/api/v1/inference/up', {
    model: 'test/model',
    dtype: 'auto',
    additional_args: ['--x'],
    extra: 1,
  })
  t.same([up.status, up.json], [200, { status: 'OK' }])
  t.equal((await node.call('POST', '/api/v1/inference/up', { model: 'test/model' })).status, 409)
  t.equal((await node.call('POST', '/api/v1/inference/up/async', { model: 'test/model' })).status, 409)
  t.match((await node.call('GET', '/api/v1/state')).json, {
    state: 'INFERENCE',
    poc_status: 'IDLE',
    inference_healthy: true,
    loaded_model: 'test/model',
  })
  t.match((await node.call('GET', '/api/v1/inference/up/status')).json, { status: 'completed', is_running: true })
  for (const path of ['/health', '/livez']) {
    const health = await node.call('GET', path)
    t.equal(health.status, 200)
    t.match(health.json, {
      status: 'healthy',
      gpu: { available: Boolean, count: Number, devices: Array },
      managers: {
        pow: { running: false, healthy: false },
        inference: Object,
        train: { running: false, healthy: false },
      },
    })
  }
  t.same((await node.call('GET', '/readyz')).json, { ready: true })
  t.same((await node.call('POST', '/api/v1/inference/down')).json, { status: 'OK' })
  t.equal((await node.call('GET', '/api/v1/state')).json.state, 'STOPPED')
  const started = await node.call('POST', '/api/v1/inference/up/async', { model: 'test/model' })
  t.match(started.json, { status: 'starting', message: String })
  await until(async () => (await node.call('GET', '/api/v1/inference/up/status')).json.status === 'completed', 'up')
  await node.call('POST', '/api/v1/inference/pow/init/generate', initBody(null))
  t.same((await node.call('POST', '/api/v1/stop')).json, { status: 'OK' })
  t.match((await node.call('GET', '/api/v1/state')).json, { state: 'STOPPED', poc_status: null, loaded_model: null })
  t.equal((await node.call('POST', '/api/v1/stop')).status, 200, 'stop twice')
  t.match((await node.call('GET', '/api/v1/versions')).json, {
    version,
    vllm_version: null,
    poc_validation_inference: false,
  })
})

t.test('a model that computes no usable artifact does not come up', async (t) => {
  const engine = {
    ...embeddingEngine({ models: ['test/model'] }),
    async *generate(_job: unknown, nonces: Iterable<number>) {
      for (const nonce of nonces)
        yield { computed: [nonce], artifacts: [{ nonce, vector: new Uint8Array(24).fill(0x7e) }] }
    },
  }
  const node = await startNode({ 'engine.autostart': '' }, { engines: [engine] })
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  const up = await node.call('POST', '/api/v1/inference/up', { model: 'test/model' })
  t.equal(up.status, 500)
  t.match(up.json.detail, /no usable artifact of test\/model/)
  t.equal((await node.call('GET', '/api/v1/state')).json.state, 'STOPPED')
})

t.test('clock, metrics, devices', async (t) => {
  const node = await startNode()
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  const before = BigInt(Date.now()) * 1_000_000n
  const clock = await node.call('GET', '/api/v1/clock')
  t.equal(clock.status, 204)
  const received = BigInt(clock.headers.get('x-server-recv-ns') ?? '0')
  const sent = BigInt(clock.headers.get('x-server-send-ns') ?? '0')
  t.ok(received <= sent && sent - received < 1_000_000_000n)
  t.ok(received - before > -2_000_000_000n && received - before < 2_000_000_000n, 'nanoseconds since 1970')
  for (const path of ['/metrics', '/api/v1/metrics']) {
    const metrics = await node.call('GET', path)
    t.equal(metrics.status, 200)
    t.match(metrics.headers.get('content-type'), /text\/plain; version=0\.0\.4/)
    t.match(metrics.text, /gonka_miner_artifacts_waiting 0/)
    t.match(metrics.text, /gonka_miner_http_requests_total\{route="\/api\/v1\/clock",status="204"\} 1/)
  }
  const devices = await node.call('GET', '/api/v1/gpu/devices')
  t.equal(devices.status, 200)
  t.equal(devices.json.count, devices.json.devices.length)
  if (devices.json.count === 0) {
    const { text } = await node.call('GET', '/metrics')
    t.notMatch(text, /^gonka_miner_joules_per_nonce \d/m, 'no device, no figure')
    const driver = await node.call('GET', '/api/v1/gpu/driver')
    t.ok(driver.status === 503 || driver.json.driver_version !== '', 'a driver, or why there is none')
  }
  const off = await startNode({ 'metrics.enabled': 'off' })
  t.equal((await off.call('GET', '/metrics')).status, 404)
  await off.close()
  removeFolder(off.folder)
  const byEnv = await startNode({}, { env: { GONKA_METRICS: 'off' } })
  t.equal((await byEnv.call('GET', '/api/v1/metrics')).status, 404)
  await byEnv.close()
  removeFolder(byEnv.folder)
})

t.test('models on disk', async (t) => {
  const cache = mkdtempSync(join(tmpdir(), 'gonka-cache-'))
  const node = await startNode({ 'data.model_cache': cache })
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
    removeFolder(cache)
  })
  const put = (repo: string, commit: string, files: string[], blobs: string[] = []) => {
    const folder = join(cache, `models--${repo.replace('/', '--')}`)
    mkdirSync(join(folder, 'snapshots', commit), { recursive: true })
    mkdirSync(join(folder, 'blobs'), { recursive: true })
    mkdirSync(join(folder, 'refs'), { recursive: true })
    writeFileSync(join(folder, 'refs', 'main'), commit)
    for (const blob of blobs) writeFileSync(join(folder, 'blobs', blob), 'x')
    for (const file of files) {
      writeFileSync(join(folder, 'blobs', `b-${file}`), 'x')
      symlinkSync(join(folder, 'blobs', `b-${file}`), join(folder, 'snapshots', commit, file))
    }
  }
  put('org/whole', 'abc', ['config.json', 'model.safetensors'])
  put('org/shards', 'abc', ['config.json', 'model-00001-of-00002.safetensors'])
  put('org/unfinished', 'abc', ['config.json', 'model.safetensors'], ['x.incomplete'])
  const status = async (hf_repo: string, hf_commit: string | null = null) =>
    (await node.call('POST', '/api/v1/models/status', { hf_repo, hf_commit })).json
  t.same(await status('org/whole'), {
    model: { hf_repo: 'org/whole', hf_commit: null },
    status: 'DOWNLOADED',
    progress: null,
    error_message: null,
  })
  t.equal((await status('org/whole', 'abc')).status, 'DOWNLOADED')
  t.equal((await status('org/whole', 'def')).status, 'PARTIAL')
  t.equal((await status('org/shards')).status, 'PARTIAL')
  t.equal((await status('org/unfinished')).status, 'PARTIAL')
  t.equal((await status('org/none')).status, 'NOT_FOUND')
  for (const bad of ['../etc', 'a/b/c', '/x', '..', 'a/../b']) {
    t.equal((await node.call('POST', '/api/v1/models/status', { hf_repo: bad })).status, 422, bad)
    t.equal((await node.call('DELETE', '/api/v1/models', { hf_repo: bad })).status, 422, bad)
  }
  const list = (await node.call('GET', '/api/v1/models/list')).json.models as {
    model: { hf_repo: string }
    status: string
  }[]
  t.same(list.map((m) => [m.model.hf_repo, m.status]).sort(), [
    ['org/shards', 'PARTIAL'],
    ['org/unfinished', 'PARTIAL'],
    ['org/whole', 'DOWNLOADED'],
  ])
  const space = (await node.call('GET', '/api/v1/models/space')).json
  t.equal(space.cache_path, cache)
  t.ok(space.available_gb > 0)
  t.match((await node.call('DELETE', '/api/v1/models', { hf_repo: 'org/whole' })).json, { status: 'deleted' })
  t.equal((await node.call('DELETE', '/api/v1/models', { hf_repo: 'org/whole' })).status, 404)
  t.equal((await status('org/whole')).status, 'NOT_FOUND')
})

t.test('a version in front of the path', async (t) => {
  for (const [given, expected] of [
    ['/3.0.16/api/v1/state', '/api/v1/state'],
    ['/v0.2.14/api/v1/inference/pow/status?x=1', '/api/v1/inference/pow/status?x=1'],
    ['/v0.2.15-post5/health', '/health'],
    ['/v2/v1/models', '/v1/models'],
    ['/v1/models', '/v1/models'],
    ['/v1/health', '/v1/health'],
    ['/api/v1/state', '/api/v1/state'],
    ['/3.0.16/other', '/3.0.16/other'],
    ['/', '/'],
  ] as const) {
    t.equal(withoutVersionPrefix(given), expected, given)
  }
  const node = await startNode()
  t.equal((await node.call('GET', '/v0.2.14/api/v1/state')).status, 200)
  await node.close()
  removeFolder(node.folder)
})

t.test('token, other sites, other host names', async (t) => {
  const node = await startNode({ 'listen.token': 'let-me-in-please' })
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  const bearer = { authorization: 'Bearer let-me-in-please' }
  t.equal((await node.call('GET', '/api/v1/state')).status, 401)
  t.equal(
    (await node.call('GET', '/api/v1/state', undefined, { authorization: 'Bearer let-me-in-pleasf' })).status,
    401,
  )
  t.equal((await node.call('GET', '/api/v1/state', undefined, bearer)).status, 200)
  t.equal((await node.call('GET', '/health')).status, 200, 'probes need no token')
  t.equal((await node.call('GET', '/metrics')).status, 401)
  t.equal((await node.call('GET', '/')).status, 200, 'the page itself is open')
  t.equal((await node.call('GET', '/dashboard/data.json')).status, 401, 'its data is not')
  for (const path of ['/dashboard/%64ata.json', '/%64ashboard/data.json', '/dashboard/./data.json'])
    t.not((await node.call('GET', path)).status, 200, path)
  t.equal(
    (await node.call('GET', '/api/v1/state', undefined, { ...bearer, origin: 'https://evil.example' })).status,
    403,
  )
  t.equal((await node.call('GET', '/api/v1/state', undefined, { ...bearer, origin: 'null' })).status, 403)
  t.equal((await node.call('GET', '/api/v1/state', undefined, { ...bearer, origin: node.url })).status, 200)
  const rebound = await new Promise<number>((resolve, reject) => {
    const { hostname, port } = new URL(node.url)
    const headers = { ...bearer, host: 'evil.example' }
    request({ host: hostname, port, path: '/api/v1/state', headers }, (r) => resolve(r.resume().statusCode ?? 0))
      .on('error', reject)
      .end()
  })
  t.equal(rebound, 403, 'a name rebound to loopback')
  t.notMatch(node.logs.join(''), /let-me-in/, 'the token is in no log')
})
