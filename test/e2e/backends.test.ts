import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { loadCandidates, openChosenDevice, probeBackend, runInChild } from '../../lib/backends.ts'
import { main } from '../../lib/cli.ts'
import { GonkaError } from '../../lib/errors.ts'
import { loadNative } from '../../lib/native.ts'
import { testIo } from '../io.ts'

const example = resolve('build/Release/examples/gonka_example_backend.so')
const lying = resolve('build/Release/examples/gonka_lying_backend.so')
t.setTimeout(0)
t.ok(existsSync(example) && existsSync(lying), 'the example backends are built')

/** The lie is chosen by an environment variable that the child process inherits. */
async function whileLying<T>(lie: string, work: () => Promise<T>): Promise<T> {
  process.env.GONKA_LIE = lie
  try {
    return await work()
  } finally {
    delete process.env.GONKA_LIE
  }
}

const run = async (argv: string[]) => {
  const io = testIo()
  return { code: await main(argv, io), out: io.outText(), err: io.errText() }
}

t.test('a good library', async (t) => {
  const report = await probeBackend(example)
  t.equal(report.error, '')
  t.ok(report.devices.length > 0)
  for (const device of report.devices) t.match(device, { error: '', notices: [] })
})

t.test('libraries that take their process down', async (t) => {
  const cases: [string, RegExp][] = [
    ['crash', /crashed with SIGSEGV while running known answers/],
    ['exit', /ended the process with code 3 while/],
  ]
  for (const [lie, message] of cases) {
    await t.rejects(
      whileLying(lie, () => probeBackend(lying)),
      { code: 'ERR_GK_BACKEND', message },
      lie,
    )
  }
  await t.rejects(
    whileLying('hang', () => probeBackend(lying, { silenceMs: 3000 })),
    { code: 'ERR_GK_BACKEND', message: /no answer for 3 s while/ },
    'hang',
  )
  const native = loadNative()
  const reports = await whileLying('crash', () => loadCandidates(native, [lying]))
  t.match(reports, [{ path: lying, devices: 0, error: /crashed with SIGSEGV/ }])
  t.notOk(
    native.backends().some(({ path }) => path === lying),
    'a library that crashed there is not loaded here',
  )
})

t.test('files that are no backend', async (t) => {
  const text = resolve(t.testdir({ 'libtext.so': 'not a library' }), 'libtext.so')
  const { sharedObjects } = process.report.getReport() as { sharedObjects: string[] }
  const notABackend = realpathSync(sharedObjects.find((path) => /libm[.-]/.test(path)) ?? '')
  const reports = await loadCandidates(loadNative(), [text, notABackend, '/nonexistent/lib.so'])
  t.equal(reports.length, 3)
  t.match(reports[0]?.error, /libtext\.so/)
  t.match(reports[1]?.error, /gk_backend_entry/)
  t.match(reports[2]?.error, /nonexistent/)
})

t.test('cancelling ends the child', async (t) => {
  const stop = new AbortController()
  const began = Date.now()
  const hanging = whileLying('hang', () =>
    runInChild({ kind: 'probe', path: lying }, (message) => message.kind === 'step' && stop.abort(), {
      signal: stop.signal,
    }),
  )
  await t.rejects(hanging, { code: 'ERR_GK_CANCELLED' })
  t.ok(Date.now() - began < 60_000, 'not by the limit of silence')
})

t.test('devices', async (t) => {
  const native = loadNative()
  await t.rejects(openChosenDevice(native, { device: 'cuda:7' }), { code: 'ERR_GK_USAGE', message: /there are: cpu:0/ })
  await t.rejects(openChosenDevice(native, { device: 'example:0', backends: ['/nonexistent/lib.so'] }), {
    code: 'ERR_GK_FILE',
  })
  // Whether the CUDA backend was built here or not, the cause and what to do about it are said, in every command.
  if (!native.backends().some(({ name, devices }) => name === 'cuda' && devices > 0)) {
    const cause = /no device "cuda:0": .*(install|update|rebuild|check).*; there are: cpu:0/
    await t.rejects(openChosenDevice(native, { device: 'cuda:0' }), { code: 'ERR_GK_USAGE', message: cause })
    const temporary = t.testdir({})
    const before = process.env.TMPDIR
    process.env.TMPDIR = temporary
    for (const argv of [['bench'], ['selftest'], ['conformance'], ['demo']]) {
      t.match(await run([...argv, '--device', 'cuda:0']), { code: 2, err: cause, out: '' }, argv.join(' '))
    }
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
    t.same(readdirSync(temporary), [], 'nothing is left behind')
  }
  await t.rejects(openChosenDevice(native, { device: 'nothing:0' }), { message: /no backend is called "nothing"/ })
  const first = await openChosenDevice(native, { device: 'cpu', threads: 1 })
  t.equal(first.id, 'cpu:0')
  await first.close()
  const device = await openChosenDevice(native, { device: 'example:0', backends: [example] })
  t.equal(device.backend.path, example)
  await device.close()

  const listed = await run(['devices', '--json', '--backend', example])
  t.equal(listed.code, 0)
  const document = JSON.parse(listed.out) as {
    cpu_features: { used: string[] }
    backends: { name: string; path: string | null; sha256: string; error: string | null }[]
    devices: { id: string; backend: string; memory_bytes: number; implementations: Record<string, unknown[]> }[]
  }
  // A machine where the CUDA backend was built lists that too.
  const asked = document.backends.filter(({ path }) => path === null || path === example)
  t.match(asked, [
    { name: 'cpu', path: null, error: null, sha256: /^[0-9a-f]{64}$/ },
    { path: example, error: null, sha256: /^[0-9a-f]{64}$/ },
  ])
  t.ok(document.devices.some(({ id }) => id === 'cpu:0'))
  t.ok(document.devices.some(({ id }) => id === 'example:0'))
  t.match((await run(['devices'])).out, /^cpu:0 {2}/m)
})

t.test('self-test and conformance by command', async (t) => {
  const selftest = await run(['selftest', '--json'])
  t.match({ code: selftest.code, ...JSON.parse(selftest.out) }, { code: 0, device: 'cpu:0', failed: 0 })
  t.match(await run(['selftest', '--op', 'nothing']), { code: 2, err: /Allowed choices are gemm/ })

  const good = await run(['conformance', '--backend', example, '--op', 'gemm', '--json'])
  const summary = JSON.parse(good.out) as { failed: number; passed: number; results: { status: string; op: string }[] }
  t.match({ code: good.code, ...summary }, { code: 0, failed: 0 })
  t.ok(summary.passed > 0 && summary.results.length >= summary.passed)
  t.match(summary.results[0], { device: 'example:0' })
  t.match(await run(['conformance', '--backend', example, '--device', 'cpu:0']), {
    code: 2,
    err: /cannot be used with/,
  })
  for (const lie of ['accumulator', 'tail', 'stale', 'format']) {
    const caught = await whileLying(lie, () => run(['conformance', '--backend', lying, '--op', 'gemm', '--json']))
    const failed = (JSON.parse(caught.out) as { failed: number }).failed
    t.equal(caught.code, 1, lie)
    t.ok(failed > 0, `${lie}: ${failed} failed`)
    if (lie === 'tail') t.match(caught.out, `gonka-miner conformance --backend ${lying}`, 'how to repeat a failure')
  }
  t.match(await whileLying('crash', () => run(['conformance', '--backend', lying])), { code: 1, err: /SIGSEGV/ })
  const none = await run(['conformance', '--op', 'gemm', '--implementation', 'nothing'])
  t.match(none, { code: 2, err: /no implementation is called 'nothing'/ })
})

t.test('errors are GonkaErrors', async (t) => {
  const error = await probeBackend('/nonexistent/lib.so').then(
    (report) => new GonkaError('ERR_GK_BACKEND', report.error),
    (caught: unknown) => caught,
  )
  t.ok(error instanceof GonkaError)
})
