// Every fault that doctor knows about settings, nodes and the network: made, found, explained, with a command that fixes it.

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { jsonFetch } from '../../lib/chain/chain-client.ts'
import { main } from '../../lib/cli.ts'
import type { Check } from '../../lib/doctor/check.ts'
import { checkAdmin, checkCallbackUrl, checkSeed, checkUpstream } from '../../lib/doctor/network.ts'
import { checkNode } from '../../lib/doctor/running-node.ts'
import { checkConfig, checkDescriptors, checkDriver, checkSettings } from '../../lib/doctor/settings.ts'
import { resolveConfig } from '../../lib/node/config.ts'
import { testIo } from '../io.ts'
import { removeFolder, startNode } from '../node/peer.ts'

t.setTimeout(0)
const send = jsonFetch(new AbortController().signal)
const faults = new Set<string>()
type Tap = Pick<typeof t, 'match'>

/** The named check found the fault, says why, and names a command. */
function found(t: Tap, checks: readonly (Check | undefined)[], name: string, why: RegExp, fix: RegExp): void {
  const check = checks.find((each) => each?.name === name && each.status !== 'ok')
  t.match(check, { detail: why, fix }, `${name}: ${why}`)
  if (check !== undefined) faults.add(`${name} ${why}`)
}

/** Answers by path: status and JSON. Unknown paths are 404. */
async function serve(routes: Record<string, [number, unknown]>) {
  const server = createServer((request, response) => {
    const [status, body] = routes[(request.url ?? '').split('?')[0] ?? ''] ?? [404, {}]
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

const settingsOf = (flags: Record<string, string>) =>
  resolveConfig({ flags: { 'listen.port': '0', 'listen.inference': 'off', ...flags } }).values
const now = Date.now()

t.test('settings, ports and folders', async (t) => {
  const folder = t.testdir({ file: '', 'bad.toml': '[listen]\nprot = 1\n', model: {}, shards: {} })
  const bad = checkConfig({ env: {}, file: join(folder, 'bad.toml') })
  found(t, [bad.check], 'settings', /listen\.prot is no setting; did you mean listen\.port/, /config print --config/)
  t.equal(bad.settings, undefined)
  t.equal(checkConfig({ env: {} }).check.status, 'ok')

  const other = await serve({})
  t.teardown(other.close)
  const taken = await checkSettings(settingsOf({ 'listen.port': String(other.port) }), now)
  found(t, taken, 'port', /taken by another program/, /^ss -ltnp/)
  const foreign = await checkSettings(settingsOf({ 'listen.host': '203.0.113.9', 'listen.port': '18080' }), now)
  found(t, foreign, 'port', /no address of this machine/, /--listen-host/)
  const node = await startNode()
  const own = await checkSettings(settingsOf({ 'listen.port': new URL(node.url).port }), now)
  t.match(
    own.find((check) => check.name === 'port'),
    { status: 'ok', detail: /a node that runs already/ },
  )
  await node.close()
  removeFolder(node.folder)

  found(t, await checkSettings(settingsOf({ 'listen.host': '0.0.0.0' }), now), 'access', /open to everybody/, /TOKEN/)
  const tokened = await checkSettings(settingsOf({ 'listen.host': '0.0.0.0', 'listen.token': 'x' }), now)
  t.equal(tokened.find((check) => check.name === 'access')?.status, 'ok')

  const onFile = await checkSettings(settingsOf({ 'data.dir': join(folder, 'file') }), now)
  found(t, onFile, 'data folder', /is a file/, /^mv /)
  const open = join(folder, 'open')
  mkdirSync(open)
  chmodSync(open, 0o777)
  found(t, await checkSettings(settingsOf({ 'data.dir': open }), now), 'data folder', /other users/, /^chmod 700/)

  const modelAt = (path: string) => settingsOf({ 'engine.kind': 'v2', 'engine.model_dir': join(folder, path) })
  found(t, await checkSettings(modelAt('none'), now), 'model', /no folder that can be read/, /^ls/)
  found(t, await checkSettings(modelAt('model'), now), 'model', /no config\.json and no a \.safetensors/, /^ls/)
  writeFileSync(join(folder, 'shards', 'config.json'), '{}')
  writeFileSync(join(folder, 'shards', 'model-00001-of-00003.safetensors'), '')
  found(t, await checkSettings(modelAt('shards'), now), 'model', /1 of 3 files/, /^ls/)
})

t.test('limits and drivers', async (t) => {
  const limits = (soft: number) => `Limit   Soft  Hard\nMax open files            ${soft}   524288   files\n`
  found(t, [checkDescriptors(limits(1024))], 'open files', /1024 allowed/, /^ulimit -n/)
  t.equal(checkDescriptors(limits(65_536))?.status, 'ok')
  t.equal(checkDescriptors(''), undefined, 'systems without the file say nothing')
  const folder = t.testdir({
    pci: {
      card: { vendor: '0x10de\n', class: '0x030200\n' },
      bridge: { vendor: '0x10de\n', class: '0x068000\n' },
    },
    version: 'NVRM version: 570.86\n',
  })
  const pci = join(folder, 'pci')
  found(t, [await checkDriver(pci, join(folder, 'none'))], 'driver', /an NVIDIA card is .* no driver/, /modprobe/)
  t.match(await checkDriver(pci, join(folder, 'version')), { status: 'ok', detail: /570\.86/ })
  t.equal(await checkDriver(join(folder, 'none'), join(folder, 'none')), undefined)
})

t.test('certificates', async (t) => {
  const folder = t.testdir({ junk: 'no certificate' })
  const at = (name: string) => join(folder, name)
  const make = (name: string, days: number) =>
    execFileSync(
      'openssl',
      `req -x509 -newkey rsa:2048 -nodes -keyout ${at(`${name}.key`)} -out ${at(`${name}.pem`)} -subj /CN=node -days ${days}`.split(
        ' ',
      ),
      { stdio: 'ignore' },
    )
  make('a', 100)
  make('b', 100)
  const check = (cert: string, key: string, when = now) =>
    checkSettings(settingsOf({ 'listen.tls_cert': at(cert), 'listen.tls_key': at(key) }), when)
  t.equal((await check('a.pem', 'a.key', now + 3_600_000)).find((c) => c.name === 'certificate')?.status, 'ok')
  found(t, await check('a.pem', 'b.key', now + 3_600_000), 'certificate', /is not the key of/, /^openssl pkey/)
  found(t, await check('junk', 'a.key', now + 3_600_000), 'certificate', /PEM|no start line|wrong/i, /^openssl x509/)
  found(t, await check('a.pem', 'a.key', now + 101 * 86_400_000), 'certificate', /expired on/, /-dates/)
  found(t, await check('a.pem', 'a.key', now + 95 * 86_400_000), 'certificate', /expires on/, /-dates/)
  found(t, await check('a.pem', 'a.key', now - 86_400_000), 'certificate', /valid from .* only/, /-dates/)
})

const healthy = {
  state: 'INFERENCE',
  model: 'm',
  batch_failures: 0,
  dropped: 0,
  nonces_computed: 10,
  event_loop_delay_p99_ms: 3,
  store: { degraded: false, error: null },
  stages: [] as unknown[],
}
const stage = {
  height: 7,
  callback: 'http://api:9100',
  generating: true,
  started: now - 60_000,
  generated: 50,
  acknowledged: 0,
  dropped_by: {},
}

t.test('a running node', async (t) => {
  const nobody = await serve({})
  nobody.close()
  const look = (url: string, token?: string) => checkNode({ url, token, now: () => now })
  found(t, await look(nobody.url), 'node', /does not answer: .*ECONNREFUSED/, /^gonka-miner serve/)
  const real = await startNode({ 'listen.token': 'abc' })
  found(t, await look(real.url), 'node', /wants its token/, /LISTEN_TOKEN/)
  for (const check of await checkNode({ url: real.url, token: 'abc', now: Date.now })) {
    t.equal(check.status, 'ok', `${check.name}: ${check.detail}`)
  }
  await real.close()
  removeFolder(real.folder)

  const as = async (data: unknown, clock?: number) => {
    const server = await serve({ '/dashboard/data.json': [200, data] })
    void clock
    const checks = await look(server.url)
    server.close()
    return checks
  }
  found(t, await as({ hello: 1 }), 'node', /not as a gonka-miner node/, /^curl/)
  found(t, await as({ ...healthy, state: 'STOPPED', model: null }), 'served model', /no model is up/, /inference\/up/)
  const full = { ...healthy, store: { degraded: true, error: 'ENOSPC' } }
  found(t, await as(full), 'store', /refuses writes: ENOSPC/, /^df/)
  found(t, await as({ ...healthy, batch_failures: 3 }), 'batches', /3 batches failed/, /journalctl/)
  found(t, await as({ ...healthy, event_loop_delay_p99_ms: 900 }), 'answers', /within 900 ms/, /uptime/)
  found(t, await as({ ...healthy, stages: [stage] }), 'callbacks', /50 artifacts generated, none acknowledged/, /^curl/)
  const dropped = (why: string) => ({ ...healthy, stages: [{ ...stage, acknowledged: 1, dropped_by: { [why]: 4 } }] })
  found(t, await as(dropped('deadline')), 'dropped artifacts', /4 for "deadline"/, /status/)
  found(t, await as(dropped('400 unknown node_num')), 'dropped artifacts', /node's number/, /join/)

  const skewed = createServer((request, response) => {
    if (request.url === '/api/v1/clock') {
      response.writeHead(204, { 'x-server-recv-ns': String(BigInt(now - 300_000) * 1_000_000n) }).end()
    } else response.end(JSON.stringify(healthy))
  })
  await new Promise<void>((resolve) => skewed.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(skewed.address() as AddressInfo).port}`
  found(t, await look(url), 'clock of the node', /-300 s/, /timedatectl/)
  skewed.closeAllConnections()
  skewed.close()
})

t.test('a seed and an account there', async (t) => {
  const gone = await serve({})
  gone.close()
  found(t, await checkSeed(send, gone.url, undefined, [], now), 'seed', /ECONNREFUSED/, /^curl/)
  const block = (ms: number): [number, unknown] => [200, { block: { header: { time: new Date(ms).toISOString() } } }]
  const latest = '/chain-api/cosmos/base/tendermint/v1beta1/blocks/latest'
  const address = 'gonka1k4swv40ur28fvu54p8mskjj4lxkgsj07u9f8ny'
  const at = async (routes: Record<string, [number, unknown]>, account?: string, models: string[] = []) => {
    const server = await serve({ [latest]: block(now), ...routes })
    const checks = await checkSeed(send, server.url, account, models, now)
    server.close()
    return checks
  }
  for (const check of await at({})) t.equal(check.status, 'ok', check.detail)
  found(t, await at({ [latest]: block(now + 300_000) }), 'chain time', /(299|300|301) s behind/, /timedatectl/)
  found(
    t,
    await at({ [latest]: block(now - 300_000) }),
    'chain time',
    /(299|300|301) s ahead of .* lags/,
    /timedatectl/,
  )
  const unknown = await at({}, address)
  found(t, unknown, 'participant', /is not registered/, /join/)
  found(t, unknown, 'balance', /^0 ngonka/, /bank send/)
  const keyless = { account: { address, account_number: '5', sequence: '0', pub_key: null } }
  const known = await at({ [`/chain-api/cosmos/auth/v1beta1/accounts/${address}`]: [200, keyless] }, address)
  found(t, known, 'account key', /does not know the key/, /join/)
  const broken = await at({ [`/v1/participants/${address}`]: [500, { error: 'no database' }] }, address)
  found(t, broken, 'account', /no database/, /^curl/)
  const models: [number, unknown] = [200, { model: [{ id: 'org/served' }] }]
  const listed = await at({ '/chain-api/productscience/inference/inference/models_all': models }, undefined, [
    'org/other',
    'org/served',
  ])
  found(t, listed, 'model org/other', /knows only org\/served/, /^curl/)
  t.equal(listed.find((check) => check.name === 'model org/served')?.status, 'ok')
})

t.test('the admin API, upstreams and callbacks', async (t) => {
  const gone = await serve({})
  gone.close()
  const admin = async (answer: [number, unknown]) => {
    const server = await serve({ '/admin/v1/nodes': answer })
    const checks = await checkAdmin(send, server.url)
    server.close()
    return checks
  }
  found(t, await checkAdmin(send, gone.url), 'admin API', /ECONNREFUSED/, /docker/)
  found(t, await admin([404, {}]), 'admin API', /answers 404/, /^curl/)
  found(t, await admin([200, []]), 'admin API', /knows no ML node/, /join --admin/)
  const failed = [{ node: { id: 'node1' }, state: { current_status: 'FAILED' } }]
  found(t, await admin([200, failed]), 'admin API', /cannot use node1/, /^curl/)
  t.match(await admin([200, [{ node: { id: 'node1' }, state: { current_status: 'POC' } }]]), [{ status: 'ok' }])

  const upstream = async (routes: Record<string, [number, unknown]>) => {
    const server = await serve(routes)
    const check = { ...(await checkUpstream(send, server.url)), name: 'upstream' }
    server.close()
    return [check]
  }
  found(t, [{ ...(await checkUpstream(send, gone.url)), name: 'upstream' }], 'upstream', /ECONNREFUSED/, /^curl/)
  found(t, await upstream({ '/health': [503, {}] }), 'upstream', /health is 503/, /^curl/)
  found(t, await upstream({ '/health': [200, {}] }), 'upstream', /no PoC routes/, /^curl/)
  t.match(await upstream({ '/health': [200, {}], '/api/v1/pow/status': [200, {}] }), [{ status: 'ok' }])

  const there = await serve({})
  t.teardown(there.close)
  t.equal((await checkCallbackUrl(send, `${there.url}/v2/x`, ['loopback'])).status, 'ok')
  found(
    t,
    [await checkCallbackUrl(send, there.url, ['private'])],
    'callback',
    /not in callbacks\.allow/,
    /--callbacks-allow private,HOST/,
  )
  const name = `http://localhost:${there.port}`
  found(
    t,
    [await checkCallbackUrl(send, name, ['private'])],
    'callback',
    /localhost is .*does not name/,
    /private,localhost/,
  )
  found(t, [await checkCallbackUrl(send, gone.url, ['loopback'])], 'callback', /ECONNREFUSED/, /^curl/)
})

t.test('by command, and how many faults that were', async (t) => {
  const run = async (...argv: string[]) => {
    const io = testIo()
    return { code: await main(argv, io), out: io.outText(), err: io.errText() }
  }
  const node = await startNode()
  const good = await run('doctor', '--node', node.url, '--json')
  t.equal(good.code, 0, good.out)
  t.ok((JSON.parse(good.out) as { checks: Check[] }).checks.some((check) => check.name === 'served model'))
  await node.close()
  removeFolder(node.folder)
  const bad = await run('doctor', '--node', node.url)
  t.match(bad, { code: 1, out: /^FAILURE node: .*does not answer.*\n {8}fix: gonka-miner serve/m })
  t.equal((await run('doctor', '--address', 'gonka1x')).code, 2)
  t.ok(faults.size >= 30, `${faults.size} faults`)
})
