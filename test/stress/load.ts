// A node under load: a full validation queue, at least 1000 artifacts a second called back, 200 status pollers.
//
//   node dist/test/stress/load.js [seconds=1800]
//
// Exit code 1 if fewer than 1000 artifacts a second were acknowledged, a poll failed, memory grew by more than a tenth
// between the halves of the run, or the event loop's delay had a 99th percentile of 50 ms or more over the whole run.
//
// The delay is the node process's own figure (monitorEventLoopDelay, as in /metrics); pollers and the receiver of the
// callbacks are this process. A third, idle process is measured beside it: on a busy machine the system delays all. Time in
// which the whole of it was suspended (SIGSTOP, a frozen cgroup, a sleeping machine) is found by gaps of two seconds in a
// timer of a tenth, counts as no time at all, and is reported.

import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
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
  ['--engine-rate-limit', '1100'],
  ['--poc-stage-deadline-s', '86400'],
  ['--listen-inference', 'off'],
  ['--listen-port', '0'],
  ['--data-dir', folder],
].flat()
const child = spawn(process.execPath, ['bin/gonka-miner.js', 'serve', '--json', ...flags], {
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { PATH: process.env.PATH, GONKA_MINER_LOG_LEVEL: 'error' },
})
// Whoever ends this early ends the node, too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    child.kill('SIGTERM')
    removeFolder(folder)
    process.exit(130)
  })
}
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
  const sent = request(`${url}${pow}/status`, { agent }, (response) => {
    response.resume().on('end', () => {
      polls++
      if (latencies.length < 200_000) latencies.push(performance.now() - begin)
      setTimeout(poll, 1000)
    })
  })
  sent.on('error', () => {
    // A kept connection that its server has closed meanwhile is no failure: the request goes over a new one.
    if (sent.reusedSocket) return poll()
    failed++
    setTimeout(poll, 1000)
  })
  sent.end()
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
setInterval(() => console.log(Math.max(0, h.percentile(99) / 1e6 - 10).toFixed(1)), 1000)`
}

async function readMetrics() {
  const { text } = await callUrl(`${url}/metrics`, 'GET')
  const of = (name: string) => Number(new RegExp(`^gonka_miner_${name}(?:{[^}]*})? (\\S+)$`, 'm').exec(text)?.[1] ?? 0)
  return {
    at: performance.now(),
    acknowledged: of('artifacts_acknowledged_total'),
    waiting: of('artifacts_waiting'),
    mb: Math.round(of('process_resident_bytes') / 1e6),
    // Since the request for the dashboard's figures below.
    p99: Math.round(of('event_loop_delay_p99_seconds') * 10_000) / 10,
    load: loadavg()[0] ?? 0,
  }
}

await callUrl(`${url}/dashboard/data.json`, 'GET')
let suspendedMs = 0
let ticked = performance.now()
setInterval(() => {
  const now = performance.now()
  if (now - ticked > 2000) suspendedMs += now - ticked
  ticked = now
}, 100).unref()
const started = performance.now()
const samples = [await readMetrics()]
while (performance.now() - suspendedMs - started < seconds * 1000) {
  await sleep(5000)
  samples.push(await readMetrics())
  if (samples.length % 12 === 0) process.stderr.write(`${JSON.stringify({ ...samples.at(-1), idle_p99: idleP99 })}\n`)
}
running = false
child.kill('SIGTERM')
idle.kill('SIGTERM')
agent.destroy()
await peer.close()
removeFolder(folder)

const quantile = (list: readonly number[], q: number) =>
  [...list].sort((a, b) => a - b)[Math.floor(q * (list.length - 1))] ?? 0
const median = (list: readonly number[]) => quantile(list, 0.5)
// The first minute fills caches.
const memory = samples.slice(Math.min(12, Math.floor(samples.length / 2))).map((sample) => sample.mb)
const firstMemory = median(memory.slice(0, memory.length / 2))
const secondMemory = median(memory.slice(memory.length / 2))
const first = samples[0] as (typeof samples)[0]
const last = samples.at(-1) as typeof first
const perSecond = Math.round(((last.acknowledged - first.acknowledged) / (last.at - first.at - suspendedMs)) * 1000)
const good = failed === 0 && over === 429 && perSecond >= 1000 && secondMemory <= 1.1 * firstMemory && last.p99 < 50
process.exitCode = good ? 0 : 1
process.stdout.write(
  `${JSON.stringify(
    {
      good,
      seconds,
      suspended_seconds: Math.round(suspendedMs / 1000),
      queued_nonces: queued,
      answer_beyond_the_limit: over,
      artifacts_per_second: perSecond,
      polls,
      polls_failed: failed,
      poll_ms_p50: Math.round(quantile(latencies, 0.5) * 10) / 10,
      poll_ms_p99: Math.round(quantile(latencies, 0.99) * 10) / 10,
      event_loop_p99_ms: last.p99,
      idle_process_p99_ms: idleP99,
      resident_mb: { first_half: firstMemory, second_half: secondMemory, max: Math.max(...samples.map((s) => s.mb)) },
      waiting_max: Math.max(...samples.map((s) => s.waiting)),
      machine_load: { median: median(samples.map((s) => s.load)), max: Math.max(...samples.map((s) => s.load)) },
    },
    null,
    2,
  )}\n`,
)
