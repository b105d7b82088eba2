// Whether the interleaved comparison (bench --against) can be trusted on this machine, as it is now: noise included.
//
//   node bench/aa.js [--same 200] [--slowed 100] [--seconds 1] [--json] > aa.md
//   node bench/aa.js --from A.json [--from B.json] > aa.md       what --json wrote, one or several together
//
// Same: a build is held against itself; every change that is reported is wrong. Slowed: two copies of one library, one of
// which runs a loop of a counted number of instructions after each call, for 2 % of the time of a call; "slower" is right.
// Both at bench's own threshold and confidence, on one thread, in processes of ten comparisons. The loop's turns are set in
// each process by what a longer loop adds to the time of a call there. Where the processor counts instructions and perf is installed, the
// loop's and the kernel's are counted; otherwise the loop's are known from its code, and the kernel's are not.
// Needs a build with tests: npx cmake-js compile --CDGONKA_TESTS=ON.
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { interleavedConfidence, interleavedThreshold } from '../dist/lib/bench/compare.js'
import { measurePairs } from '../dist/lib/bench/pairs.js'
import { expandCases } from '../dist/lib/bench/suite.js'
import { median } from '../dist/lib/bench/summary.js'
import { comparePairs } from '../dist/lib/bench/verdict.js'
import { benchAgainst, copiedBuild } from '../dist/lib/index.js'
import { loadNative } from '../dist/lib/native.js'

const release = join(dirname(fileURLToPath(import.meta.url)), '..', 'build', 'Release')
const library = join(release, 'test_backends', 'gonka_test_delayed_cpu.so')
const sameCases = [
  { op: 'gemm', m: 192, n: 192, k: 192, type: 'f32' },
  { op: 'gemm', m: 448, n: 448, k: 448, type: 'f32' },
  { op: 'attention', seqlen: 128, heads: 4, head_dim: 64, type: 'f32' },
  { op: 'sha256_search', nonces: 8192 },
  { op: 'gather', rows: 512, columns: 4096, type: 'f32' },
]
const slowedCase = { op: 'gemm', m: 256, n: 256, k: 256, type: 'f32' }
const planted = 0.02
const perProcess = 10
const blocks = 20

const { values: options } = parseArgs({
  options: {
    same: { type: 'string', default: '200' },
    slowed: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    from: { type: 'string', multiple: true },
    // What a process of this program is told to do: not for people.
    child: { type: 'string' },
  },
})

/** Two copies of the library, the second of which can be slowed. */
async function openBuilds() {
  const folder = mkdtempSync(join(tmpdir(), 'gonka-aa-'))
  const native = loadNative()
  const open = (name) => {
    copyFileSync(library, join(folder, `${name}.so`))
    return copiedBuild(native, join(folder, `${name}.so`), name, blocks, { threads: 1 })
  }
  process.env.GONKA_TEST_DELAY_FILE = 'slowed'
  const [a, b] = [await open('even'), await open('slowed')]
  if (!a.moves || !b.moves) throw new Error('copies of the library cannot be loaded from the temporary folder')
  const close = async () => {
    await a.close()
    await b.close()
    rmSync(folder, { recursive: true })
  }
  return { a, b, close }
}

const delay = (turns) => {
  process.env.GONKA_TEST_DELAY_LOOPS = String(turns)
}

/** Turns of the loop that make a call longer by the planted share: of a longer loop, what it adds in proportion. */
async function turnsFor(a, b, problem) {
  const trial = 200_000
  delay(trial)
  const { ratio } = comparePairs((await measurePairs({ a, b, problem, seconds: 3, blocks })).blocks)
  return Math.round((planted * trial) / (ratio - 1))
}

async function compareMany({ specs, count, seed, slow, seconds }) {
  const { a, b, close } = await openBuilds()
  try {
    const cases = await expandCases(specs, { suite: 'aa' })
    const turns = slow ? await turnsFor(a, b, cases[0].problem) : 0
    delay(turns)
    for (let i = 0; i < count; i++) {
      const one = cases[i % cases.length]
      const report = await benchAgainst({
        a,
        b,
        cases: [one],
        seconds,
        threshold: interleavedThreshold,
        confidence: interleavedConfidence,
        seed: seed + i,
      })
      const [{ name, verdict, ratio, interval, pValue, aNs, blocks: used }] = report.cases
      const { remarks } = report
      process.stdout.write(
        `${JSON.stringify({ name, verdict, ratio, ...interval, pValue, aNs, blocks: used, turns, remarks, load: loadavg()[0] })}\n`,
      )
    }
  } finally {
    await close()
  }
}

/** Calls without any clock in the way, for the processor to count. */
async function callMany({ spec, calls, turns }) {
  const { b, close } = await openBuilds()
  const [{ problem }] = await expandCases([spec], { suite: 'aa' })
  const session = await (await b.at(0)).benchOpen({ problem })
  delay(turns)
  await session.run({ samples: calls, seconds: 3600, cold: false })
  await session.close()
  await close()
}

function run(command, args, onLine) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part) => {
      const lines = (text + part).split('\n')
      text = lines.pop()
      for (const line of lines) onLine(line)
    })
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}`))))
  })
}

const self = (task) => [fileURLToPath(import.meta.url), '--child', JSON.stringify(task)]

async function many(specs, total, slow, progress) {
  const results = []
  for (let done = 0; done < total; done = results.length) {
    const count = Math.min(perProcess, total - done)
    const task = { specs, count, seed: 1 + done, slow, seconds: Number(options.seconds) }
    await run(process.execPath, self(task), (line) => {
      results.push(JSON.parse(line))
      progress(`${slow ? 'slowed' : 'same'}: ${results.length} of ${total}`)
    })
  }
  return results
}

/** User instructions of a process that makes so many calls; null where nothing counts them. */
function instructions(calls, turns) {
  const task = self({ spec: slowedCase, calls, turns })
  const { stderr, status } = spawnSync('perf', ['stat', '-x,', '-e', 'instructions:u', process.execPath, ...task], {
    encoding: 'utf8',
  })
  const found = status === 0 ? /^(\d+),,instructions:u/m.exec(stderr) : null
  return found === null ? null : Number(found[1])
}

/** Instructions of a turn and of a call, by differences, so that what else the process does cancels out. */
function countInstructions() {
  const calls = 2000
  const turns = 400_000
  const [few, more, delayed] = [instructions(calls, 0), instructions(2 * calls, 0), instructions(calls, turns)]
  if (few === null || more === null || delayed === null) return null
  return { perTurn: (delayed - few) / calls / turns, perCall: (more - few) / calls }
}

function table(results) {
  const names = [...new Set(results.map(({ name }) => name))]
  const rows = names.map((name) => {
    const own = results.filter((one) => one.name === name)
    const count = (verdict) => own.filter((one) => one.verdict === verdict).length
    const ratios = own.map(({ ratio }) => ratio)
    const cells = [name, own.length, count('slower'), count('faster'), count('same'), count('cannot tell')]
    const percent = (ratio) => `${((ratio - 1) * 100).toFixed(2)} %`
    const halves = own.map(({ low, high }) => (high - low) / 2)
    cells.push(`${(median(own.map(({ aNs }) => aNs)) / 1e6).toFixed(2)} ms`, percent(median(ratios)))
    cells.push(
      `${percent(Math.min(...ratios))} .. ${percent(Math.max(...ratios))}`,
      `${(100 * median(halves)).toFixed(2)} %`,
      median(own.map((one) => one.blocks)),
    )
    return `| ${cells.join(' | ')} |`
  })
  return [
    '| case | comparisons | slower | faster | same | cannot tell | call | median change | range | half interval | blocks |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function writeReport({ same, slowed, counted }) {
  const changed = same.filter(({ verdict }) => verdict === 'slower' || verdict === 'faster').length
  const found = slowed.filter(({ verdict }) => verdict === 'slower').length
  const loads = [...same, ...slowed].map(({ load }) => load)
  const turns = slowed.map((one) => one.turns)
  const range = (values, digits = 0) => {
    const [low, high] = [Math.min(...values).toFixed(digits), Math.max(...values).toFixed(digits)]
    return low === high ? low : `${low} to ${high}`
  }
  const loop = `A turn of the loop is two instructions, so ${range(turns.map((n) => 2 * n))} instructions after each call`
  const counts = counted
    ? `${loop}; by the processor's counter a turn is ${counted.perTurn.toFixed(2)} instructions and a call of the kernel ${Math.round(counted.perCall)}.`
    : `${loop}. Nothing counts instructions here (no perf, or a processor without counters): the loop's are known from its code.`
  process.stdout.write(
    [
      '# The interleaved comparison, held against what is known',
      '',
      `${cpus()[0].model}, ${cpus().length} processors, ${new Date().toISOString().slice(0, 10)}; load average ${range(loads, 1)};`,
      `${options.seconds} to ${6 * options.seconds} s a comparison, threshold ${interleavedThreshold * 100} %, confidence ${interleavedConfidence * 100} %.`,
      '',
      `## A build against itself: ${changed} of ${same.length} comparisons report a change`,
      '',
      table(same),
      '',
      `## One slowed by ${planted * 100} %: ${found} of ${slowed.length} comparisons report it`,
      '',
      table(slowed),
      '',
      counts,
      '',
    ].join('\n'),
  )
}

async function main() {
  if (options.from) {
    const parts = options.from.map((path) => JSON.parse(readFileSync(path, 'utf8')))
    const counted = parts.map((part) => part.counted).find((one) => one !== null) ?? null
    writeReport({ same: parts.flatMap((part) => part.same), slowed: parts.flatMap((part) => part.slowed), counted })
    return
  }
  if (!existsSync(library)) throw new Error(`${library} is missing: npx cmake-js compile --CDGONKA_TESTS=ON`)
  const progress = (text) => process.stderr.isTTY && process.stderr.write(`\r${text}\x1b[K`)
  const same = await many(sameCases, Number(options.same), false, progress)
  const slowed = await many([slowedCase], Number(options.slowed), true, progress)
  progress('')
  const counted = slowed.length > 0 ? countInstructions() : null
  if (options.json) process.stdout.write(`${JSON.stringify({ same, slowed, counted })}\n`)
  else writeReport({ same, slowed, counted })
}

if (options.child === undefined) {
  await main()
} else {
  const task = JSON.parse(options.child)
  await (task.calls === undefined ? compareMany(task) : callMany(task))
}
