import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { addressRule } from '../../lib/node/address-rule.ts'
import { printConfig, resolveConfig, watchConfig } from '../../lib/node/config.ts'
import { flagOf, type Setting, settingsTable, variableOf } from '../../lib/node/settings.ts'
import { until } from './peer.ts'

const folder = mkdtempSync(join(tmpdir(), 'gonka-config-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

t.test('flags before environment before file before defaults, with origins', async (t) => {
  const path = file(
    'a.toml',
    '[listen]\nport = 1001\nhost = "127.0.0.2"\n[callbacks]\nallow = ["loopback", "api"]\nmax_batch = 7\n',
  )
  const config = resolveConfig({
    file: path,
    env: { GONKA_MINER_LISTEN_PORT: '1002', GONKA_MINER_DATA_SYNC: 'off', GONKA_MINER_PASSPHRASE: 'ignored here' },
    flags: { 'listen.port': '1003', 'callbacks.allow': undefined },
  })
  t.match(config.values, {
    'listen.port': 1003,
    'listen.host': '127.0.0.2',
    'callbacks.allow': ['loopback', 'api'],
    'callbacks.max_batch': 7,
    'data.sync': false,
    'poc.max_queued_nonces': 100_000,
  })
  t.match(config.origins, {
    'listen.port': 'flag --listen-port',
    'listen.host': `file ${path}`,
    'data.sync': 'environment GONKA_MINER_DATA_SYNC',
    'poc.max_queued_nonces': 'default',
  })
  const asJson = resolveConfig({ file: file('a.json', '{"listen":{"port":1001}}') })
  t.equal(asJson.values['listen.port'], 1001)
})

t.test('every mistake is named with its place, all at once; secrets are not quoted', async (t) => {
  const path = file('b.toml', '[listen]\nport = "x"\nhosst = "a"\ntoken = 5\n[unknown]\na = 1\n')
  const env = { GONKA_MINER_LISTEN_PROT: '1', GONKA_MINER_LOG_LEVEL: 'loud' }
  try {
    resolveConfig({ file: path, env, flags: { 'poc.max_queued_nonces': '0' } })
    t.fail('accepted')
  } catch (error) {
    const message = (error as Error).message
    t.match(message, /listen\.port must be a whole number from 0 to 65535, not "x"/)
    t.match(message, /listen\.hosst is no setting; did you mean listen\.host\?/)
    t.match(message, /unknown\.a is no setting/)
    t.match(message, /environment: GONKA_MINER_LISTEN_PROT is no setting/)
    t.match(message, /log\.level must be one of debug, info/)
    t.match(message, /flag --poc-max-queued-nonces: poc\.max_queued_nonces must be a whole number from 1/)
    t.match(message, /listen\.token must be text, not something else/)
  }
  t.throws(() => resolveConfig({ file: file('c.toml', 'listen = 5') }), { message: /listen must be a section/ })
  t.throws(() => resolveConfig({ file: file('d.toml', '[listen\n') }), { code: 'ERR_GK_INVALID_ARGUMENT' })
  t.throws(() => resolveConfig({ file: join(folder, 'none.toml') }), { code: 'ERR_GK_FILE' })
  t.throws(() => resolveConfig({ flags: { 'listen.tls_cert': 'x' } }), { message: /belong together/ })
  t.throws(() => resolveConfig({ flags: { 'engine.kind': 'upstream' } }), { message: /names no server/ })
})

t.test('the table is consistent and secrets print as set', async (t) => {
  const table = settingsTable as readonly Setting[]
  t.equal(new Set(table.map((s) => flagOf(s.key))).size, table.length)
  t.equal(new Set(table.map((s) => variableOf(s.key))).size, table.length)
  const printed = printConfig(resolveConfig({ env: { GONKA_MINER_LISTEN_TOKEN: 'hidden-value' } }))
  t.notMatch(JSON.stringify(printed), 'hidden-value')
  t.match(
    printed.find((line) => line.key === 'listen.token'),
    { value: 'set', origin: 'environment GONKA_MINER_LISTEN_TOKEN' },
  )
})

t.test('a changed file takes effect, a broken one does not', async (t) => {
  const path = file('e.toml', '[callbacks]\nmax_batch = 10\n')
  const changes: unknown[] = []
  const errors: string[] = []
  const watcher = watchConfig(
    { file: path },
    resolveConfig({ file: path }),
    (config, changed, restart) => changes.push([config.values['callbacks.max_batch'], changed, restart]),
    (message) => errors.push(message),
  )
  t.teardown(() => watcher.close())
  writeFileSync(path, '[callbacks]\nmax_batch = 20\n[listen]\nport = 9\n')
  watcher.reload()
  t.same(changes.at(-1), [20, ['callbacks.max_batch'], ['listen.port']])
  writeFileSync(path, '[callbacks]\nmax_batch = "many"\n')
  watcher.reload()
  t.match(errors[0], /max_batch must be/)
  writeFileSync(path, '[callbacks]\nmax_batch = 30\n')
  await until(() => (changes.at(-1) as [number])[0] === 30, 'the watcher sees the file')
})

t.test('address rules', async (t) => {
  const allowed = (entries: string[], address: string, host = address) => addressRule(entries).allows(address, host)
  for (const [entries, address, host, expected] of [
    [['loopback'], '127.0.0.1', undefined, true],
    [['loopback'], '::1', undefined, true],
    [['loopback'], '10.0.0.1', undefined, false],
    [['private'], '10.0.0.1', undefined, true],
    [['private'], '172.31.255.255', undefined, true],
    [['private'], '172.32.0.0', undefined, false],
    [['private'], 'fd00::1', undefined, true],
    [['private'], '8.8.8.8', undefined, false],
    [['any'], '8.8.8.8', undefined, true],
    [['any'], '169.254.169.254', undefined, false],
    [['any'], 'fe80::1', undefined, false],
    [['any'], '0.0.0.0', undefined, false],
    [['any'], '224.0.0.1', undefined, false],
    [['169.254.169.254'], '169.254.169.254', undefined, true],
    [['203.0.113.0/24'], '203.0.113.77', undefined, true],
    [['203.0.113.0/24'], '203.0.114.1', undefined, false],
    [['api'], '203.0.113.1', 'api', true],
    [['api'], '203.0.113.1', 'API', true],
    [['api'], '203.0.113.1', 'other', false],
    [['api'], '169.254.1.1', 'api', false],
    [['*.example.org'], '203.0.113.1', 'a.example.org', true],
    [['*.example.org'], '203.0.113.1', 'example.org', false],
    [['*.example.org'], '203.0.113.1', 'aexample.org', false],
    [['private'], '::ffff:8.8.8.8', undefined, false],
    [['private'], '::ffff:a00:1', undefined, true],
    [['any'], '::ffff:a9fe:a9fe', undefined, false],
  ] as [string[], string, string | undefined, boolean][]) {
    t.equal(allowed(entries, address, host ?? address), expected, `${entries} ${host ?? ''} ${address}`)
  }
  t.throws(() => addressRule(['10.0.0.0/99']), { code: 'ERR_GK_INVALID_ARGUMENT' })
  t.throws(() => addressRule(['http://x']), { code: 'ERR_GK_INVALID_ARGUMENT' })
  t.doesNotThrow(() => addressRule(['loopback']).checkUrl('http://localhost:9100/x'))
  t.throws(() => addressRule(['loopback']).checkUrl('http://2130706434.0.0.1/'))
  t.doesNotThrow(() => addressRule(['loopback']).checkUrl('http://2130706433/'), 'decimal spelling of 127.0.0.1')
  t.throws(() => addressRule(['loopback']).checkUrl('http://134744072/'), 'decimal spelling of 8.8.8.8')
})
