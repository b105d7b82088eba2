// A node under load: a full validation queue, about 1000 artifacts a second called back, 200 status pollers.
//
//   node dist/test/stress/load.js [seconds=1800]
//
// Exit code 1 if fewer artifacts were acknowledged than generated at 900 a second, a poll failed, memory grew by more than
// a tenth between the halves of the run, or the event loop was late by 50 ms more than an idle process was.
//
// Event-loop delay is the node process's own figure (monitorEventLoopDelay, p99 per window); a second, idle process on the
// same machine is measured beside it, since on a busy machine the operating system delays both.

import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { callUrl, initBody, removeFolder, startPeer } from '../node/peer.ts'

const seconds = Number(process.argv[2] ?? 1800)
const folder = mkdtempSync(join(tmpdir(), 'gonka-load-'))
const peer = await startPeer()
peer.answer = () => {
  // The peer's own record must not be what grows.
  peer.callbacks.length = 0
  peer.accepted.clear()
  return 200
}
const flags = [
  ['--engine-kind', 'embedding'],
  ['--engine-models', 'test/model'],
  ['--engine-autostart', 'test/model'],
  ['--engine-embedding-dim', '16'],
  ['--engine-rate-limit', '1000'],
  ['--poc-stage-deadline-s', '86400'],
  ['--listen-inference', 'off'],
  ['--listen-port', '0'],
  ['--data-dir', folder],
].flat()
const child = spawn(process.execPath, ['bin/gonka-miner.js', 'serve', '--json', ...flags], {
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { PATH: process.env.PATH, GONKA_MINER_LOG_LEVEL: 'error' },
})
const url = await new Promise<string>((resolve) =>
  child.stdout.once('data', (line: Buffer) => resolve((JSON.parse(line.toString()) as { url: string }).url)),
)
const pow = '/api/v1/inference/pow'
await callUrl(`${url}${pow}/init/generate`, 'POST', initBody(peer.url))
let queued = 0
for (let i = 0; i < 100; i++) {
  const nonces = Array.from({ length: 1000 }, (_, k) => i * 1000 + k)
  queued += (await callUrl(`${url}${pow}/generate`, 'POST', { ...initBody(null), nonces })).json.queued_count ?? 0
}
const over = (await callUrl(`${url}${pow}/generate`, 'POST', { ...initBody(null), nonces: [1] })).status

const agent = new Agent({ keepAlive: true, maxSockets: 200 })
let polls = 0
let failed = 0
let running = true
const latencies: number[] = []
function poll(): void {
  if (!running) return
  const begin = performance.now()
  request(`${url}${pow}/status`, { agent }, (response) => {
    response.resume().on('end', () => {
      polls++
      if (latencies.length < 200_000) latencies.push(performance.now() - begin)
      setTimeout(poll, 1000)
    })
  })
    .on('error', () => {
      failed++
      setTimeout(poll, 1000)
    })
    .end()
}
// Pollers come spread over a second, as those of many machines would.
for (let i = 0; i < 200; i++) setTimeout(poll, i * 5)

const idle = spawn(process.execPath, ['-e', idleProgram()], { stdio: ['ignore', 'pipe', 'ignore'] })
let idleP99 = 0
idle.stdout.on('data', (text: Buffer) => {
  idleP99 = Number(text.toString().trim().split('\n').at(-1))
})
function idleProgram(): string {
  return `const h = require('perf_hooks').monitorEventLoopDelay({ resolution: 10 }); h.enable()
setInterval(() => { console.log(Math.max(0, h.percentile(99) / 1e6 - 10).toFixed(1)); h.reset() }, 5000)`
}

const own = monitorEventLoopDelay({ resolution: 10 })
own.enable()
const windows: { p99: number; idle: number; mb: number; waiting: number }[] = []
const started = performance.now()
let first: { at: number; acknowledged: number } | undefined
let last: { at: number; acknowledged: number } | undefined
while (performance.now() - started < seconds * 1000) {
  await sleep(5000)
  const data = (await callUrl(`${url}/dashboard/data.json`, 'GET')).json
  windows.push({
    p99: data.event_loop_delay_p99_ms,
    idle: idleP99,
    mb: data.resident_mb,
    waiting: data.artifacts_waiting,
  })
  last = { at: performance.now(), acknowledged: data.acknowledged }
  first ??= last
  if (windows.length % 12 === 0) process.stderr.write(`${JSON.stringify(windows.at(-1))}\n`)
}
running = false
child.kill('SIGTERM')
idle.kill('SIGTERM')
agent.destroy()
await peer.close()
removeFolder(folder)

const quantile = (list: readonly number[], q: number) =>
  [...list].sort((a, b) => a - b)[Math.floor(q * (list.length - 1))] ?? 0
const half = Math.floor(windows.length / 2)
const median = (list: readonly number[]) => quantile(list, 0.5)
// The first minute fills caches.
const memory = windows.slice(Math.min(12, half)).map((w) => w.mb)
const firstMemory = median(memory.slice(0, memory.length / 2))
const secondMemory = median(memory.slice(memory.length / 2))
const late = median(windows.map((w) => w.p99)) - median(windows.map((w) => w.idle))
const perSecond =
  first && last ? Math.round(((last.acknowledged - first.acknowledged) / (last.at - first.at)) * 1000) : 0
const good = failed === 0 && over === 429 && perSecond >= 900 && secondMemory <= 1.1 * firstMemory && late < 50
process.exitCode = good ? 0 : 1
process.stdout.write(
  `${JSON.stringify(
    {
      good,
      seconds,
      queued_nonces: queued,
      answer_beyond_the_limit: over,
      artifacts_per_second: perSecond,
      polls,
      polls_failed: failed,
      poll_ms_p50: Math.round(quantile(latencies, 0.5) * 10) / 10,
      poll_ms_p99: Math.round(quantile(latencies, 0.99) * 10) / 10,
      event_loop_p99_ms: { median: median(windows.map((w) => w.p99)), worst: Math.max(...windows.map((w) => w.p99)) },
      idle_process_p99_ms: {
        median: median(windows.map((w) => w.idle)),
        worst: Math.max(...windows.map((w) => w.idle)),
      },
      resident_mb: {
        first_half: firstMemory,
        second_half: secondMemory,
        max: Math.max(...windows.map((w) => w.mb)),
      },
      waiting_max: Math.max(...windows.map((w) => w.waiting)),
    },
    null,
    2,
  )}\n`,
)
