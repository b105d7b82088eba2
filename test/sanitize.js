// Builds the native tests with sanitizers and runs them: npm run test:sanitize [-- address|thread [part of a test's name ...]]
//
// address (with undefined behaviour) covers every native test; thread covers those that start threads, because the
// others would only be slow. A build folder each (build-asan, build-tsan), kept, so that a second run builds what
// changed. Ends with "N passed, N failed"; no test run is a failure.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

process.chdir(join(dirname(fileURLToPath(import.meta.url)), '..'))

const kinds = {
  address: {
    folder: 'build-asan',
    covers: () => true,
    env: { ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=0', UBSAN_OPTIONS: 'print_stacktrace=1' },
  },
  thread: {
    folder: 'build-tsan',
    covers: (name) =>
      ['thread_pool', 'device', 'device_gate', 'example_backend', 'abi', 'matmul_pow_round'].includes(name),
    env: { TSAN_OPTIONS: 'halt_on_error=0:second_deadlock_stack=1' },
  },
}

function run(command, args, env = {}) {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, ...env },
  })
  return { status: result.status ?? 1, output: `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}` }
}

/** Runs the tests of one kind; returns { passed, failed }. */
function sanitize(kind, wanted) {
  const { folder, covers, env } = kinds[kind]
  const failed = (what, output) => {
    process.stdout.write(`${output}\nFAIL ${kind}: ${what}\n`)
    return { passed: 0, failed: 1 }
  }
  // -O1: what the sanitizers' manuals advise; the kernels' own files take minutes at -O3 with instrumentation.
  const configure = ['-S', '.', '-B', folder, `-DGONKA_SANITIZE=${kind}`, '-DGONKA_TESTS=ON', '-DGONKA_CUDA=OFF']
  const first = existsSync(join(folder, 'CMakeCache.txt'))
    ? []
    : ['-DCMAKE_BUILD_TYPE=None', '-DCMAKE_CXX_FLAGS=-O1', '-DCMAKE_C_FLAGS=-O1']
  const configured = run('cmake', [...configure, ...first])
  if (configured.status !== 0) return failed('configuring', configured.output)

  const listed = run('ctest', ['--test-dir', folder, '--show-only=json-v1'])
  const names = JSON.parse(listed.output)
    .tests.map((test) => test.name)
    .filter(covers)
    .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  if (names.length === 0) return { passed: 0, failed: 0 }
  // A test that is skipped as a whole has no program.
  const known = new Set(run('cmake', ['--build', folder, '--target', 'help']).output.match(/[\w.-]+/g))
  const targets = names.map((name) => [`test_${name}`, name].find((target) => known.has(target))).filter(Boolean)
  if (targets.length === 0) return failed(`no program among the build's targets for ${names.join(', ')}`, '')
  const built = run('cmake', ['--build', folder, '--parallel', String(availableParallelism()), '--target', ...targets])
  if (built.status !== 0) return failed('building', built.output)

  const total = { passed: 0, failed: 0 }
  for (const name of names) {
    const { status, output } = run('ctest', ['--test-dir', folder, '--output-on-failure', '-R', `^${name}$`], env)
    const good = status === 0
    total[good ? 'passed' : 'failed'] += 1
    process.stdout.write(`${good ? 'ok  ' : 'FAIL'} ${kind} ${name}\n${good ? '' : `${output}\n`}`)
  }
  return total
}

const [first, ...rest] = process.argv.slice(2)
const chosen = first in kinds ? [first] : Object.keys(kinds)
const wanted = first in kinds || first === undefined ? rest : [first, ...rest]
const totals = chosen.map((kind) => sanitize(kind, wanted))
const passed = totals.reduce((sum, total) => sum + total.passed, 0)
const failed = totals.reduce((sum, total) => sum + total.failed, 0)
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
