import { chmodSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { keyOf, writeKeyFile } from '../../lib/chain/key-file.ts'
import { main } from '../../lib/cli.ts'
import { type Check, checkMemory, checkNode, checkSensors, runChecks } from '../../lib/doctor.ts'
import { GonkaError } from '../../lib/errors.ts'
import { loadNative } from '../../lib/native.ts'
import { testIo } from '../io.ts'
import { privateKey } from '../proof/samples.ts'
import { noTelemetry } from '../telemetry.ts'

t.setTimeout(0)

const find = (checks: readonly Check[], name: string) => checks.find((check) => check.name.startsWith(name))
const native = async () => loadNative()

t.test('single checks', async (t) => {
  t.match(checkNode('20.1.0'), { status: 'ok' })
  t.match(checkNode('18.20.0'), { status: 'failure', fix: /Node 20/ })
  t.match(checkMemory(8e9), { status: 'ok', fix: null })
  t.match(checkMemory(1e9), { status: 'warning', detail: /1\.00 GB available; .* needs 2\.60 GB/ })
})

t.test('sensors', (t) => {
  const now = { ...noTelemetry, uuid: 'GPU-1', temperatureC: 51, powerW: 412.4, powerLimitW: 700, coreClockMhz: 1755 }
  const [well, ...rest] = checkSensors('cuda:0', {
    ...now,
    coreClockLimitMhz: 1980,
    throttle: ['power'],
    processCount: 1,
  })
  t.same(rest, [])
  t.match(well, {
    status: 'ok',
    fix: null,
    detail: '51 degrees, 412 of 700 W, 1755 of 1980 MHz (held by: power), 1 process',
  })
  const troubles = checkSensors('cuda:0', {
    ...now,
    eccCorrected: 5,
    eccUncorrected: 2,
    throttle: ['temperature'],
    xidCount: 1,
    lastXid: 79,
  })
  t.equal(troubles.length, 3)
  for (const trouble of troubles) t.match(trouble, { name: 'sensors of cuda:0', status: 'warning', fix: String })
  t.match(troubles, [{ detail: /^2 uncorrected/ }, { detail: /temperature \(51 degrees\)/ }, { detail: /XID 79/ }])
  t.match(checkSensors('cuda:0', { ...now, throttle: ['hardware', 'temperature'] }), [{ detail: /hardware brakes/ }])
  t.match(checkSensors('x:0', noTelemetry), [{ status: 'ok', detail: 'none: energy: Not Supported' }])
  t.end()
})

t.test('this machine', async (t) => {
  const folder = t.testdir({})
  const key = join(folder, 'key.json')
  await writeKeyFile(key, keyOf(privateKey))
  const checks = await runChecks({ native, folder, keyFile: key, now: Date.now })
  for (const name of ['node', 'addon', 'backend cpu', 'key'])
    t.match(find(checks, name), { status: 'ok', fix: null }, name)
  for (const name of ['cpu features', 'processors', 'memory', 'disk', 'clock', 'energy of cpu:0'])
    t.ok(find(checks, name), name)
  for (const { status, fix } of checks) t.equal(fix === null, status === 'ok', 'a finding has its fix')

  chmodSync(key, 0o644)
  const wrong = await runChecks({ native, folder: join(folder, 'none'), keyFile: key, now: () => 0 })
  t.match(find(wrong, 'key'), { status: 'failure', fix: `chmod 600 ${key}` })
  t.match(find(wrong, 'disk'), { status: 'failure', fix: /mkdir -p/ })
  t.match(find(wrong, 'clock'), { status: 'failure', fix: /timedatectl/ })
})

t.test('a broken addon and a broken library', async (t) => {
  const broken = async (): Promise<never> => {
    throw new GonkaError('ERR_GK_ADDON', 'cannot be loaded')
  }
  const without = await runChecks({ native: broken, folder: '.', now: Date.now })
  t.match(find(without, 'addon'), { status: 'failure', detail: 'cannot be loaded', fix: 'npm rebuild gonka-miner' })

  process.env.GONKA_BACKEND_PATH = resolve('build/Release/examples/gonka_lying_backend.so')
  process.env.GONKA_LIE = 'crash'
  try {
    const checks = await runChecks({ native, folder: '.', now: Date.now })
    t.match(find(checks, 'backend gonka_lying_backend'), { status: 'warning', detail: /crashed with SIGSEGV/ })
  } finally {
    delete process.env.GONKA_BACKEND_PATH
    delete process.env.GONKA_LIE
  }
})

t.test('by command', async (t) => {
  const run = async (...argv: string[]) => {
    const io = testIo()
    return { code: await main(argv, io), out: io.outText() }
  }
  const good = await run('doctor', '--json')
  t.match({ code: good.code, ...JSON.parse(good.out) }, { code: 0, ok: true })
  const bad = await run('doctor', '--key', '/nonexistent/key')
  t.match(bad, { code: 1, out: /^FAILURE key: .*\n {8}fix: /m })
})
