// Runs the native tests (ctest) and the TypeScript tests (tap), and ends with the line "N passed, N failed".
// Arguments: parts of test names; only tests whose name contains one of them run.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
process.chdir(root)
const require = createRequire(import.meta.url)
const wanted = process.argv.slice(2)
const selected = (name) => wanted.length === 0 || wanted.some((part) => name.includes(part))
const jobs = availableParallelism()
// Some of them hold a model of two gigabytes.
const mostFilesAtOnce = 4
// For a while it takes the addon away from where the others load it.
const alone = ['e2e/package.test.js']
const total = { passed: 0, failed: 0 }
const failures = []

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options })
  return { status: result.status ?? 1, output: (result.stdout ?? '') + (result.stderr ?? '') }
}

/** As run, without waiting in place. */
function start(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.on('error', (error) => resolve({ status: 1, output: String(error) }))
    child.on('close', (status) => resolve({ status: status ?? 1, output }))
  })
}

function must(what, command, args) {
  const { status, output } = run(command, args)
  if (status === 0) return
  process.stdout.write(`${output}\n${what} failed\n0 passed, 1 failed\n`)
  process.exit(1)
}

async function nativeTests() {
  if (!existsSync('build/CMakeCache.txt')) {
    const cmakeJs = join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js')
    must('configuring the native tests', process.execPath, [cmakeJs, 'configure', '--CDGONKA_TESTS=ON'])
  } else {
    must('configuring the native tests', 'cmake', ['-DGONKA_TESTS=ON', 'build'])
  }
  must('building the native tests', 'cmake', ['--build', 'build', '--parallel', String(jobs)])
  const listed = run('ctest', ['--test-dir', 'build', '--show-only=json-v1'])
  const names = JSON.parse(listed.output)
    .tests.map(({ name }) => name)
    .filter(selected)
  await shared(names, jobs, async (name) => {
    const { status, output } = await start('ctest', ['--test-dir', 'build', '-V', '-R', `^${name}$`])
    const skipped = status === 0 && output.includes('***Skipped') && output.match(/^\d+: skipped: (.*)$/m)
    if (skipped) process.stdout.write(`skip native ${name}: ${skipped[1]}\n`)
    else report(`native ${name}`, status === 0 ? 1 : 0, status === 0 ? 0 : 1, output)
  })
}

/** Workers take the next of the list whenever they are free. */
async function shared(list, workers, work) {
  const worker = async () => {
    for (let next = list.shift(); next !== undefined; next = list.shift()) await work(next)
  }
  await Promise.all(Array.from({ length: workers }, worker))
}

function report(name, passed, failed, output) {
  total.passed += passed
  total.failed += failed
  process.stdout.write(`${failed === 0 ? 'ok  ' : 'FAIL'} ${name} (${passed} passed, ${failed} failed)\n`)
  if (failed > 0) {
    failures.push(name)
    process.stdout.write(`${output}\n`)
  }
}

async function typescriptTests() {
  must('compiling TypeScript', process.execPath, [require.resolve('typescript/bin/tsc'), '-p', 'tsconfig.json'])
  const files = readdirSync('dist/test', { recursive: true })
    .filter((name) => name.endsWith('.test.js') && existsSync(join('test', name.replace(/\.js$/, '.ts'))))
    .filter(selected)
    .sort()
    // The simulated network, much the longest, comes last in the alphabet and would be waited for alone.
    .reverse()
  const runFile = async (file) => {
    const { status, output } = await start(process.execPath, ['--expose-gc', join('dist/test', file)], {
      // Not a measure of anything: a file that hangs must not keep the others from being told about.
      timeout: 15 * 60_000,
      killSignal: 'SIGKILL',
      env: { ...process.env, TAP_TIMEOUT: '0', FORCE_COLOR: undefined },
    })
    const summary = [...output.matchAll(/^# \{ total: (\d+)(.*) \}$/gm)].at(-1)
    const passed = Number(summary?.[2]?.match(/pass: (\d+)/)?.[1] ?? 0)
    const failed = Number(summary?.[2]?.match(/fail: (\d+)/)?.[1] ?? 0)
    // All of it needs what this machine lacks, a browser say: that is no failure, but never silent.
    const reason = output.match(/# SKIP (.*)$/m)?.[1]
    if (status === 0 && passed + failed === 0 && reason !== undefined) {
      process.stdout.write(`skip ${file}: ${reason}\n`)
      return
    }
    const broken = status !== 0 || passed + failed === 0
    report(file, passed, failed === 0 && broken ? 1 : failed, output)
  }
  const together = files.filter((file) => !alone.includes(file))
  await shared(together, Math.min(jobs, mostFilesAtOnce), runFile)
  for (const file of files.filter((file) => alone.includes(file))) await runFile(file)
}

await nativeTests()
await typescriptTests()
if (failures.length > 0) process.stdout.write(`failed: ${failures.join(', ')}\n`)
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`)
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1
