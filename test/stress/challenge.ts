// The challenge service under load and kill -9: a thousand submissions at a time among malformed, oversized, slow and
// truncated requests, while the process is killed and started again. At the end every certificate that anybody received is
// still there, byte for byte, every open challenge can still be answered, and memory stayed bounded.
//
//   node dist/test/stress/challenge.js [rounds=5] [submissions=1000]

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeKeyFile } from '../../lib/chain/key-file.ts'
import { openDevice } from '../../lib/index.ts'
import { openCertificate } from '../../lib/proof/certificate.ts'
import { dripRequest, issue, issuer, quickProofFor, rawRequest, submit } from '../challenge/service.ts'

const rounds = Number(process.argv[2] ?? 5)
const submissions = Number(process.argv[3] ?? 1000)
const folder = mkdtempSync(join(tmpdir(), 'gonka-challenge-'))
await writeKeyFile(join(folder, 'issuer'), issuer)
const device = await openDevice({ threads: 1 })

let child: ChildProcess | undefined
let peakBytes = 0

async function start(port: string): Promise<string> {
  const words = ['challenge', 'serve', '--key', join(folder, 'issuer'), '--data', join(folder, 'data'), '--json']
  const more = ['--port', port, '--rate', '1000000', '--max-open', '100000', '--expires', '86400']
  child = spawn(process.execPath, ['bin/gonka-miner.js', ...words, ...more], { stdio: ['ignore', 'pipe', 'ignore'] })
  const process_ = child
  return new Promise((resolve, reject) => {
    let text = ''
    process_.stdout?.setEncoding('utf8').on('data', (part: string) => {
      text += part
      if (text.includes('\n')) resolve((JSON.parse(text) as { url: string }).url)
    })
    process_.on('exit', () => reject(new Error('the service ended')))
  })
}

async function kill(): Promise<void> {
  const gone = new Promise((resolve) => child?.on('exit', resolve))
  child?.kill('SIGKILL')
  await gone
}

function residentBytes(): number {
  try {
    const status = readFileSync(`/proc/${child?.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

const url = await start('0')
const port = new URL(url).port
const watch = setInterval(() => {
  peakBytes = Math.max(peakBytes, residentBytes())
}, 50)

// Proofs are made once; each is a challenge of its own. Half of them are sent in several copies.
console.error(`making ${submissions} challenges and proofs`)
const challenges: string[] = []
for (let failures = 0; challenges.length < submissions; ) {
  try {
    challenges.push(await issue(url))
  } catch (error) {
    // The service closes connections idle for 5 s, maybe while this process had no processor to send on them.
    if (++failures > 20) throw error
  }
}
const proofs: Uint8Array[] = []
for (const challenge of challenges) proofs.push(await quickProofFor(device, challenge))

const received = new Map<string, Uint8Array>()
const counts = {
  certified: 0,
  again: 0,
  refused: 0,
  busy: 0,
  cut: 0,
  changed: 0,
  lost: 0,
  dripsClosed: 0,
  slowestMs: 0,
}

async function attempt(i: number): Promise<void> {
  const challenge = challenges[i] as string
  const began = performance.now()
  try {
    const { status, body } = await submit(url, challenge, proofs[i] as Uint8Array)
    counts.slowestMs = Math.max(counts.slowestMs, performance.now() - began)
    if (status === 503) counts.busy++
    else if (status !== 200 && status !== 201) counts.refused++
    else {
      const before = received.get(challenge)
      if (before && Buffer.compare(before, body) !== 0) counts.changed++
      if (before) counts.again++
      else counts.certified++
      received.set(challenge, body)
    }
  } catch {
    counts.cut++ // the service was killed
  }
}

function noise(i: number): Promise<unknown> {
  const path = `POST /v1/challenges/${challenges[i % challenges.length]}/proof HTTP/1.1\r\nHost: x\r\n`
  const kinds = [
    'GARBAGE\r\n\r\n',
    `${path}Content-Length: 99999999999\r\n\r\nx`,
    `${path}Content-Length: 3000\r\n\r\nshort`,
    'GET /v1/info HTTP/1.1\r\nHost: x\r\nX-Half: ',
    `${path}Content-Length: 5\r\nConnection: close\r\n\r\nwrong`,
  ]
  return rawRequest(url, kinds[i % kinds.length] as string, i % 5 === 2 || i % 5 === 3)
}

/** Headers, or a body, one byte every quarter of a second, until the service has enough of it. */
async function drip(i: number): Promise<void> {
  const path = `POST /v1/challenges/${challenges[i % challenges.length]}/proof HTTP/1.1\r\nHost: x\r\n`
  await dripRequest(url, i % 2 === 0 ? `${path}X-Slow: ${'a'.repeat(1000)}` : `${path}Content-Length: 5000\r\n\r\n`)
  counts.dripsClosed++
}

const drips: Promise<void>[] = []
for (let round = 0; round < rounds; round++) {
  for (let i = 0; i < 50; i++) drips.push(drip(round * 50 + i))
  // Every round sends all of them at once; some rounds end in kill -9 while they are under way.
  const all = challenges.map((_, i) => attempt(i))
  const bad = Array.from({ length: Math.ceil(submissions / 5) }, (_, i) => noise(i))
  const killed = round % 2 === 0 && round < rounds - 1
  if (killed) {
    await sleep(300 + 700 * Math.random())
    await kill()
    await Promise.all(all)
    await start(port)
  } else await Promise.all(all)
  await Promise.all(bad)
  console.error(`round ${round + 1}${killed ? ' (killed)' : ''}: ${JSON.stringify(counts)}`)
}

await Promise.all(drips)

// What anybody received must be there; what is there must be genuine.
for (const [i, challenge] of challenges.entries()) {
  const answer = await fetch(`${url}/v1/challenges/${challenge}/certificate`)
  const body = new Uint8Array(await answer.arrayBuffer())
  const before = received.get(challenge)
  if (answer.status !== 200) {
    counts.lost++
    continue
  }
  openCertificate(body)
  if (before && Buffer.compare(before, body) !== 0) counts.changed++
  if (i % 100 === 0) await sleep(0)
}
clearInterval(watch)
child?.kill('SIGINT')
await device.close()
rmSync(folder, { recursive: true, force: true })
const megabytes = Math.round(peakBytes / 2 ** 20)
const good = counts.lost === 0 && counts.changed === 0 && counts.refused === 0 && received.size === submissions
console.log(
  JSON.stringify({ rounds, submissions, ...counts, receivedCertificates: received.size, peakRssMb: megabytes, good }),
)
process.exitCode = good ? 0 : 1
