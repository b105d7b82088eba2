import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { removeFolder, startNode, until } from './peer.ts'

t.setTimeout(300_000)

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex')
const gitSha = (data: Buffer) => createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex')

interface Hub {
  readonly url: string
  readonly requests: { url: string; range: string | undefined; authorization: string | undefined }[]
  files: Record<string, Buffer>
  /** Answers the request itself if it returns true. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean
  close(): Promise<void>
}

const commit = 'c0ffee'.padEnd(40, '0')
const secret = 'hf_secret_token'

/** Speaks as the public hub does: a list of files, small ones as they are, large ones by way of another host. */
async function startHub(): Promise<Hub> {
  const hub: Hub = {
    ...{ url: '', requests: [], files: {}, intercept: () => false },
    close: () =>
      new Promise<void>((resolve) => {
        for (const server of [front, store]) server.closeAllConnections()
        front.close(() => store.close(() => resolve()))
      }),
  }
  const serve = (request: IncomingMessage, response: ServerResponse, data: Buffer, headers: Record<string, string>) => {
    const from = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
    if (from === null) return response.writeHead(200, headers).end(data)
    const end = from[2] === '' ? data.length : Number(from[2]) + 1
    if (Number(from[1]) >= data.length) return response.writeHead(416, headers).end()
    return response.writeHead(206, headers).end(data.subarray(Number(from[1]), end))
  }
  const note = ({ url = '', headers }: IncomingMessage) => {
    hub.requests.push({ url, range: headers.range, authorization: headers.authorization })
    return url
  }
  const store = createServer((request, response) => {
    const data = hub.files[decodeURIComponent(note(request).slice(1))]
    if (hub.intercept(request, response)) return
    if (data === undefined) response.writeHead(404).end()
    else serve(request, response, data, {})
  })
  const front = createServer((request, response) => {
    const url = note(request)
    if (hub.intercept(request, response)) return
    if (url.startsWith('/api/models/org/m/revision/main')) {
      const siblings = Object.entries(hub.files).map(([rfilename, data]) => ({ rfilename, size: data.length }))
      response.writeHead(200).end(JSON.stringify({ sha: commit, siblings }))
      return
    }
    const name = decodeURIComponent(url.split(`/resolve/${commit}/`)[1] ?? '')
    const data = hub.files[name]
    if (data === undefined) response.writeHead(404).end()
    else if (name.endsWith('.safetensors')) {
      const { port } = store.address() as AddressInfo
      const location = `http://127.0.0.1:${port}/${encodeURIComponent(name)}`
      response.writeHead(302, { location, 'x-linked-etag': `"${sha256(data)}"`, etag: '"of the redirect"' }).end()
    } else serve(request, response, data, { etag: `W/"${gitSha(data)}"` })
  })
  for (const server of [front, store]) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(hub, { url: `http://127.0.0.1:${(front.address() as AddressInfo).port}` })
}

const model = { hf_repo: 'org/m', hf_commit: null }

t.test('models/download', async (t) => {
  const hub = await startHub()
  const cache = t.testdir({})
  const node = await startNode({ 'data.model_cache': cache }, { env: { HF_ENDPOINT: `${hub.url}/`, HF_TOKEN: secret } })
  t.teardown(async () => {
    await node.close()
    await hub.close()
    removeFolder(node.folder)
  })
  const start = (body: unknown = model) => node.call('POST', '/api/v1/models/download', body)
  const status = async () => (await node.call('POST', '/api/v1/models/status', model)).json
  const settled = () => until(async () => (await status()).status !== 'DOWNLOADING', 'the end of the download')
  const weights = Buffer.alloc(300_000, 'weights ')
  hub.files = { 'config.json': Buffer.from('{}'), 'model.safetensors': weights, 'deep/er/empty.txt': Buffer.alloc(0) }

  const first = await start()
  t.equal(first.status, 202)
  t.same(first.json, { task_id: 'org/m:latest', status: 'DOWNLOADING', model })
  await settled()
  t.same(await status(), { model, status: 'DOWNLOADED', progress: null, error_message: null })
  const snapshot = join(cache, 'models--org--m', 'snapshots', commit)
  t.ok(readFileSync(join(snapshot, 'model.safetensors')).equals(weights))
  t.equal(readFileSync(join(snapshot, 'config.json'), 'utf8'), '{}')
  t.equal(readFileSync(join(snapshot, 'deep/er/empty.txt'), 'utf8'), '')
  t.ok(existsSync(join(cache, 'models--org--m', 'blobs', sha256(weights))), 'named by its hash')
  const toHub = hub.requests.filter((r) => r.url.startsWith('/api') || r.url.startsWith('/org'))
  t.ok(toHub.length > 0 && toHub.every((r) => r.authorization === `Bearer ${secret}`), 'the hub gets the token')
  const elsewhere = hub.requests.filter((r) => !toHub.includes(r))
  t.ok(elsewhere.length > 0 && elsewhere.every((r) => r.authorization === undefined), 'nobody else does')
  t.same((await start()).json, { task_id: 'org/m:latest', status: 'DOWNLOADED', model }, 'what is there stays')

  // An interrupted one goes on where it was.
  t.equal((await node.call('DELETE', '/api/v1/models', model)).json.status, 'deleted')
  t.equal((await status()).status, 'NOT_FOUND')
  const blobs = join(cache, 'models--org--m', 'blobs')
  mkdirSync(blobs, { recursive: true })
  writeFileSync(join(blobs, `${sha256(weights)}.incomplete`), weights.subarray(0, 100_000))
  hub.requests.length = 0
  await start()
  await settled()
  t.equal((await status()).status, 'DOWNLOADED')
  t.ok(hub.requests.some((r) => r.range === 'bytes=100000-'))

  // Bytes that are not what their name says.
  await node.call('DELETE', '/api/v1/models', model)
  mkdirSync(blobs, { recursive: true })
  writeFileSync(join(blobs, `${sha256(weights)}.incomplete`), Buffer.alloc(100_000, 'other bytes'))
  await start()
  await settled()
  t.match(await status(), { status: 'PARTIAL', error_message: /model\.safetensors does not have the hash/ })
  t.equal((await start()).status, 202, 'and once more')
  await settled()
  t.equal((await status()).status, 'DOWNLOADED')

  // What a hub must not be able to do.
  await node.call('DELETE', '/api/v1/models', model)
  for (const name of ['../../../evil', '/etc/evil', 'a/../../evil', '']) {
    hub.files = { [name]: Buffer.from('x') }
    await start()
    await settled()
    t.match(await status(), { error_message: /lists a file with the name/ }, name)
  }
  hub.files = {}
  hub.intercept = (_request, response) => {
    response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end()
    return true
  }
  await start()
  await settled()
  t.match(await status(), { error_message: /169\.254\.169\.254/ }, 'link-local addresses stay out of reach')
  hub.intercept = (request, response) => {
    response.writeHead(302, { location: request.url ?? '' }).end()
    return true
  }
  await start()
  await settled()
  t.match(await status(), { error_message: /redirects/ })
  hub.intercept = (_request, response) => {
    response.writeHead(200).end(JSON.stringify({ sha: commit, siblings: [{ rfilename: 'x', size: 1e18 }] }))
    return true
  }
  await start()
  await settled()
  t.match(await status(), { error_message: /GB are needed/ })

  // Limits and cancelling.
  hub.intercept = () => true // no answer at all
  t.equal((await start()).status, 202)
  const again = await start()
  t.equal(again.status, 409)
  t.match(again.json.detail, /already downloading/)
  t.match(await status(), { status: 'DOWNLOADING', progress: { start_time: Number, elapsed_seconds: Number } })
  t.equal((await start({ hf_repo: 'org/b' })).status, 202)
  t.equal((await start({ hf_repo: 'org/c', hf_commit: 'abc' })).json.task_id, 'org/c:abc')
  t.equal((await start({ hf_repo: 'org/d' })).status, 429)
  t.equal((await node.call('DELETE', '/api/v1/models', model)).json.status, 'cancelled')
  t.equal((await status()).status, 'NOT_FOUND')
  t.equal((await start({ hf_repo: 'org/d' })).status, 202)
  for (const bad of [{ hf_repo: '../x' }, { hf_repo: 'a/b', hf_commit: '../x' }, {}, undefined]) {
    t.equal((await start(bad ?? '')).status, 422)
  }
  t.notMatch(node.logs.join(''), secret)
})

t.test('offline, a hub that is none, one revision of several', async (t) => {
  const cache = t.testdir({
    'models--org--m': {
      blobs: { a: 'shared', b: 'old', c: 'new' },
      snapshots: {
        one: { 'config.json': t.fixture('symlink', '../../blobs/a'), x: t.fixture('symlink', '../../blobs/b') },
        two: { 'config.json': t.fixture('symlink', '../../blobs/a'), x: t.fixture('symlink', '../../blobs/c') },
      },
    },
  })
  await t.rejects(startNode({}, { env: { HF_ENDPOINT: 'nonsense' } }), { message: /HF_ENDPOINT: expected a URL/ })
  const node = await startNode({ 'data.model_cache': cache }, { env: { HF_HUB_OFFLINE: 'true' } })
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  const ignored = await node.call('POST', '/api/v1/models/download', { hf_repo: 'org/m', hf_commit: 'abc' })
  t.equal(ignored.status, 202)
  t.match(ignored.json, { task_id: 'org/m:abc:offline', status: 'IGNORED' })
  const remove = (hf_commit: string) => node.call('DELETE', '/api/v1/models', { hf_repo: 'org/m', hf_commit })
  t.equal((await remove('three')).status, 404)
  t.equal((await remove('one')).json.status, 'deleted')
  const at = (name: string) => existsSync(join(cache, 'models--org--m', name))
  t.same(['blobs/a', 'blobs/b', 'blobs/c', 'snapshots/one', 'snapshots/two'].map(at), [true, false, true, false, true])
  t.equal((await remove('two')).json.status, 'deleted')
  t.equal(at(''), false)
})
