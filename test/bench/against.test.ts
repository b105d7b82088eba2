// One build of the backend library against another: a planted slow-down is found, the same build is not accused.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'
import t from 'tap'
import { benchAgainst } from '../../lib/bench/against.ts'
import { copiedBuild } from '../../lib/bench/build-copies.ts'
import type { ResultFile } from '../../lib/bench/result-file.ts'
import { expandCases } from '../../lib/bench/suite.ts'
import { main } from '../../lib/cli.ts'
import { loadNative } from '../../lib/native.ts'
import { testIo } from '../io.ts'

t.setTimeout(0)

const temporary = mkdtempSync(join(tmpdir(), 'gonka-against-'))
t.teardown(() => rmSync(temporary, { recursive: true, force: true }))

const library = resolve('build/Release/libraries/gonka_cpu.so')
const delayed = resolve('build/Release/test_backends/gonka_test_delayed_cpu.so')

const run = async (...argv: string[]) => {
  const io = testIo()
  return { code: await main(argv, io), out: io.outText(), err: io.errText() }
}
const problem = ['gemm', '--m', '48', '--n', '64', '--k', '64', '--threads', '1']

// The library given to --against is the one that is held against: if it is slow, what is measured is faster.
t.test('a slower library, a faster build', async (t) => {
  process.env.GONKA_TEST_DELAY_LOOPS = '40000'
  t.teardown(() => delete process.env.GONKA_TEST_DELAY_LOOPS)
  const copy = join(temporary, 'delayed.so')
  copyFileSync(delayed, copy)
  const saved = join(temporary, 'pairs.json')
  const result = await run(
    'bench',
    ...problem,
    '--against',
    copy,
    '--seconds',
    '0.2',
    '--threshold',
    '10%',
    '--json',
    '--save',
    saved,
  )
  t.equal(result.code, 0, result.err)
  const report = JSON.parse(result.out)
  t.match(report, { mode: 'interleaved', threshold: 0.1, confidence: 0.999, cases: [{ verdict: 'faster' }] })
  t.ok(report.cases[0].blocks >= 20 && report.cases[0].blocks <= 120)
  t.ok(report.cases[0].ratio < 0.8, `${report.cases[0].ratio}`)
  const { pairs } = JSON.parse(readFileSync(saved, 'utf8'))
  t.equal(pairs[0].blocks.length, report.cases[0].blocks)
  for (const { a_ns, b_ns, b_first } of pairs[0].blocks) {
    t.ok(a_ns.length >= 2 && a_ns.length === b_ns.length)
    for (let i = 0; i < b_first.length; i += 2) t.not(b_first[i], b_first[i + 1], 'neighbouring pairs differ in order')
  }
})

t.test('the same build is not slower by a third', async (t) => {
  const argv = ['bench', ...problem, '--against', library, '--seconds', '0.2', '--threshold', '30%', '--markdown']
  const result = await run(...argv)
  t.equal(result.code, 0, result.err + result.out)
  t.match(result.out, /^\*\*0 slower, 0 faster/)
  t.match(result.out, /gonka_cpu\.so/)
})

// The same file twice: only its name decides whether it is slow, so nothing but the delay differs.
t.test('every block meets both builds in other places', async (t) => {
  process.env.GONKA_TEST_DELAY_FILE = 'crawling'
  process.env.GONKA_TEST_DELAY_LOOPS = '200000'
  t.teardown(() => {
    delete process.env.GONKA_TEST_DELAY_FILE
    delete process.env.GONKA_TEST_DELAY_LOOPS
  })
  const open = (name: string) => {
    const copy = join(temporary, `${name}.so`)
    copyFileSync(delayed, copy)
    return copiedBuild(loadNative(), copy, name, 4, { threads: 1 })
  }
  const builds = { a: await open('walking'), b: await open('crawling') }
  try {
    t.ok(builds.a.moves && builds.b.moves)
    const devices = await Promise.all([0, 1, 2, 3].map((block) => builds.a.at(block)))
    t.equal(new Set(devices.map(({ backend }) => backend.path)).size, 4, 'four copies')
    t.equal(new Set(devices.map(({ backend }) => backend.sha256)).size, 1, 'of one file')
    const cases = await expandCases([{ op: 'gemm', m: 48, n: 64, k: 64, type: 'f32' }], { suite: 'x' })
    const report = await benchAgainst({ ...builds, cases, seconds: 0.2, threshold: 0.1, confidence: 0.99 })
    t.match(report.cases, [{ verdict: 'slower' }])
    t.match(report.a, /walking\.so/)
    t.notMatch(report.remarks.join(), /in one place of memory/)
  } finally {
    await builds.a.close()
    await builds.b.close()
  }
})

t.test('what cannot be run in turn is left out', async (t) => {
  const result = await run('bench', 'poc_v1', '--params', 'default', '--against', library)
  t.equal(result.code, 1)
  t.match(result.out, /not compared: PoC v1 default params: whole rounds/)
})

t.test('results of two runs', async (t) => {
  const brief = ['--seconds', '0.1', '--samples', '200', '--threads', '1']
  const before = join(temporary, 'before.json')
  t.equal((await run('bench', ...problem, ...brief, '--save', before)).code, 0)
  const text = readFileSync(before, 'utf8')
  const write = (name: string, change: (result: ResultFile) => void): string => {
    const result = JSON.parse(text) as ResultFile
    change(result)
    const path = join(temporary, name)
    writeFileSync(path, JSON.stringify(result))
    return path
  }
  const scaled = (by: number) => (result: ResultFile) => {
    for (const figure of result.figures) figure.blocks = figure.blocks.map((block) => block.map((ns) => ns * by))
  }
  const slower = write('slower.json', scaled(4))
  t.match(await run('compare', before, slower), { code: 1, out: /slower[^\n]*\n/ })
  t.match(await run('compare', slower, before, '--json'), { code: 0, out: /"verdict":"faster"/ })
  t.match(await run('compare', before, before), { code: 0, out: /0 slower, 0 faster/ })
  t.match(await run('compare', before, slower, '--markdown'), { code: 1, out: /^\*\*1 slower/ })
  const elsewhere = write('elsewhere.json', (result) => {
    scaled(4)(result)
    result.machine.cpu_model = 'Another'
  })
  t.match(await run('compare', before, elsewhere), { code: 2, err: /different machines: processor .* --any-machine/ })
  t.match(await run('compare', before, elsewhere, '--any-machine'), { code: 1, out: /different machines: processor/ })
  const other = write('other.json', (result) => {
    for (const figure of result.figures) figure.name = 'another case'
  })
  t.match(await run('compare', before, other), { code: 2, err: /no case in common/ })
  const newer = write('newer.json', (result) => Object.assign(result, { version: 2 }))
  t.match(await run('compare', before, newer), { code: 2, err: /version 2 of the form; expected 1/ })
  const broken = write('broken.json', (result) => Object.assign(result.figures[0] as object, { rate: 'fast' }))
  t.match(await run('compare', before, broken), { code: 2, err: /figures\.0\.rate/ })
  t.match(await run('compare', before, join(temporary, 'absent.json')), { code: 2, err: /cannot read/ })
  const baseline = await run('bench', ...problem, ...brief, '--baseline', slower)
  t.match(baseline, { code: 0, out: /faster/ })
  const quarter = write('quarter.json', scaled(0.2))
  t.match(await run('bench', ...problem, ...brief, '--baseline', quarter), { code: 1, out: /slower/ })
})
