import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { encodeVector } from '../../lib/protocol/artifact-vector.ts'
import { embeddingArtifact } from '../../lib/protocol/embedding-artifact.ts'
import { initBody, removeFolder, startNode, startPeer, until } from './peer.ts'

const pow = '/api/v1/inference/pow'
// Waits are generous: a busy machine is slow, not wrong.
t.setTimeout(120_000)

t.test('a node whose engines are two other servers', async (t) => {
  const peer = await startPeer()
  const backs = [await startNode(), await startNode()]
  const front = await startNode({
    'engine.kind': 'upstream',
    'engine.upstream': backs.map((back) => back.inferenceUrl).join(','),
    'engine.autostart': '',
  })
  t.teardown(async () => {
    await front.close()
    for (const back of backs) await back.close()
    await peer.close()
    for (const node of [front, ...backs]) removeFolder(node.folder)
  })
  const wrong = await front.call('POST', '/api/v1/inference/up', { model: 'other/model' })
  t.equal(wrong.status, 500)
  t.match(wrong.json.detail, /serves test\/model/)
  t.equal((await front.call('POST', '/api/v1/inference/up', { model: 'test/model' })).status, 200)
  t.equal((await front.call('GET', '/api/v1/state')).json.inference_healthy, true)
  t.match((await front.call('GET', '/v1/models')).json, { data: [{ id: 'test/model' }] }, 'passed through')
  const mismatch = await front.call(
    'POST',
    `${pow}/init/generate`,
    initBody(null, { params: { model: 'x/y', seq_len: 64 } }),
  )
  t.equal(mismatch.status, 409)
  const init = await front.call('POST', `${pow}/init/generate`, initBody(peer.url))
  t.match(init.json, { backends: 2, n_groups: 2 })
  await until(() => peer.accepted.size > 200, 'artifacts through the outbox')
  await front.call('POST', `${pow}/stop`)
  const artifacts = peer.callbacks.flatMap((c) => c.body.artifacts as { nonce: number; vector_b64: string }[])
  const job = { blockHash: '9F2CA1', publicKey: '02a1b2', seqLen: 64, dim: 64, kDim: 12, strongerRng: false }
  for (const { nonce, vector_b64 } of artifacts.slice(0, 50)) {
    t.equal(vector_b64, encodeVector(embeddingArtifact(job, nonce)))
  }
  t.ok([...peer.accepted.values()].every((n) => n === 1))
  await backs[1]?.close()
  await until(
    async () =>
      (await front.call('POST', `${pow}/init/generate`, initBody(peer.url, { block_height: 7 }))).json.backends === 1,
    'one backend left',
  )
  const status = (await front.call('GET', `${pow}/status`)).json
  t.equal(status.status, 'MIXED', 'the lost replica is idle, the other one works')
  await front.call('POST', `${pow}/stop`)
  await backs[0]?.close()
  await until(async () => (await front.call('GET', '/api/v1/state')).json.inference_healthy === false, 'health follows')
  const none = await front.call('POST', `${pow}/init/generate`, initBody(peer.url, { block_height: 8 }))
  t.equal(none.status, 502)
  t.match(none.json.detail, { errors: [{ port: 5001, error: String }, { port: 5002 }] })
})

t.test('the proxy: streaming, choice, failures, the gate while generating', async (t) => {
  const hits: string[] = []
  let mode: 'stream' | 'hang' | 'cut' = 'stream'
  const server = createServer((request, response) => {
    hits.push(`${request.method} ${request.url} ${request.headers.authorization ?? '-'}`)
    if (request.url === '/health') return void response.writeHead(200).end()
    if (request.url === '/v1/models') return void response.writeHead(200).end('{"data":[{"id":"test/model"}]}')
    if (request.url === '/version') return void response.writeHead(200).end('{"version":"9.9"}')
    let body = ''
    request.on('data', (part) => {
      body += part
    })
    request.on('end', () => {
      if (mode === 'cut') return request.socket.destroy()
      response.writeHead(200, { 'content-type': 'text/event-stream', 'x-from': 'model' })
      response.write(`data: ${body.length}\n\n`)
      if (mode === 'hang') return
      setTimeout(() => response.end('data: [DONE]\n\n'), 60)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const node = await startNode({
    'engine.kind': 'upstream',
    'engine.upstream': url,
    'listen.token': 'secret-token-1',
  })
  const bearer = { authorization: 'Bearer secret-token-1', 'content-type': 'application/json' }
  t.teardown(async () => {
    await node.close()
    server.closeAllConnections()
    server.close()
    removeFolder(node.folder)
  })
  const answer = await fetch(`${node.url}/v1/chat/completions?x=%2F`, {
    method: 'POST',
    headers: bearer,
    body: '{"a":1}',
  })
  t.equal(answer.headers.get('x-from'), 'model')
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
  const begin = performance.now()
  t.equal(new TextDecoder().decode((await reader.read()).value), 'data: 7\n\n')
  const firstAt = performance.now() - begin
  t.equal(new TextDecoder().decode((await reader.read()).value), 'data: [DONE]\n\n')
  t.ok(firstAt < performance.now() - begin, 'the first part came before the last')
  t.ok(hits.includes('POST /v1/chat/completions?x=%2F -'), 'path verbatim, our token kept from the model server')
  t.equal((await node.call('GET', '/api/v1/versions', undefined, bearer)).json.vllm_version, '9.9')
  mode = 'cut'
  t.equal((await node.call('POST', '/v1/completions', { a: 1 }, bearer)).status, 502)
  mode = 'hang'
  const hanging = await fetch(`${node.url}/v1/completions`, { method: 'POST', headers: bearer, body: '{}' })
  await until(() => node.context.upstreams?.openRequests === 1, 'a request in flight')
  const init = await node.call('POST', `${pow}/init/generate`, initBody(null), bearer)
  t.equal(init.status, 200)
  await t.rejects(hanging.text(), 'in-flight requests end when generation takes the devices')
  const gated = await node.call('POST', '/v1/completions', {}, bearer)
  t.equal(gated.status, 503)
  t.match(gated.json.detail, /PoC generation/)
  t.equal((await node.call('GET', '/v1/models', undefined, bearer)).status, 200, 'reading the list is allowed')
  mode = 'stream'
  server.closeAllConnections()
  await until(() => node.logs.some((l) => l.includes('a batch failed')), 'this server computes no PoC')
  t.match(
    (await node.call('GET', '/metrics', undefined, bearer)).text,
    /gonka_miner_batch_failures_total\{[^}]*\} [1-9]/,
  )
  await node.call('POST', `${pow}/stop`, undefined, bearer)
  mode = 'stream'
  t.equal((await node.call('POST', '/v1/completions', {}, bearer)).status, 200, 'open again')
  server.closeAllConnections()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  await until(async () => (await node.call('POST', '/v1/completions', {}, bearer)).status === 503, 'no backend')
})
