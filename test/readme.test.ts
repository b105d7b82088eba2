// The README cannot drift: its shell blocks run here, and its table of ops is what the tool prints.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import t from 'tap'

const readme = readFileSync('README.md', 'utf8')
const temporary = mkdtempSync(join(tmpdir(), 'gonka-readme-'))
t.teardown(() => rmSync(temporary, { recursive: true, force: true }))

// `npx gonka-miner` of the README is this checkout.
const bin = join(temporary, 'bin')
mkdirSync(bin)
const npx = join(bin, 'npx')
writeFileSync(npx, `#!/bin/sh\nshift\nexec '${process.execPath}' '${resolve('bin/gonka-miner.js')}' "$@"\n`)
chmodSync(npx, 0o755)
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, REPO: resolve('.') }

t.test('every line of the shell blocks succeeds', async (t) => {
  const work = join(temporary, 'work')
  mkdirSync(work)
  const blocks = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
  t.ok(blocks.length >= 3)
  for (const block of blocks) {
    const result = spawnSync('sh', ['-e', '-c', block], { cwd: work, env, encoding: 'utf8' })
    t.equal(result.status, 0, `${block}\n${result.stderr}`)
  }
})

t.test('the JavaScript block runs as it stands', async (t) => {
  const code = readme.match(/^```js\n(.*?)^```$/ms)?.[1] ?? ''
  const library = JSON.stringify(new URL('../lib/index.js', import.meta.url).href)
  const script = code.replace("'gonka-miner'", library)
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' })
  t.equal(result.status, 0, result.stderr)
  t.match(result.stdout, /0n 1\.\d+/)
})

t.test('the table of ops is what the tool prints', async (t) => {
  const result = spawnSync(npx, ['gonka-miner', 'devices', '--markdown'], { env, encoding: 'utf8' })
  t.equal(result.status, 0, result.stderr)
  // A machine with more backends prints more columns; the CPU's column is the same everywhere.
  const cpuColumns = (table: string) => table.split('\n').map((line) => line.split('|').slice(0, 3).join('|'))
  for (const line of cpuColumns(result.stdout)) t.ok(readme.includes(line), line)
})

t.test('documented exit codes hold', async (t) => {
  const run = (...args: string[]) => spawnSync(npx, ['gonka-miner', ...args], { env, cwd: temporary, encoding: 'utf8' })
  t.equal(run('--version').status, 0)
  t.equal(run('frobnicate').status, 2)
  t.equal(run('verify', 'absent.gkp').status, 2)
  t.equal(run('bench', 'gemm', '--device', 'cuda:9').status, 2)
})
