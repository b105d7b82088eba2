// kill -9 of a node at random moments while it generates and delivers through 503 storms, cut connections and lost answers.
// At the end nothing may be missing, nothing may have been sent twice as new.
//
//   node dist/test/stress/kill-loop.js [kills=100] [seed]

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../lib/sim/faults.ts'
import { callUrl, initBody, removeFolder, startPeer } from '../node/peer.ts'

const kills = Number(process.argv[2] ?? 100)
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000)
const random = seededRandom(seed)
const folder = mkdtempSync(join(tmpdir(), 'gonka-kill-'))
const peer = await startPeer()
const pow = '/api/v1/inference/pow'
const counts = { storms: 0, cutBefore: 0, cutAfter: 0, ok: 0 }

let stormUntil = 0
peer.answer = () => {
  const now = performance.now()
  if (random() < 0.02) stormUntil = now + 500 * random()
  if (now < stormUntil) {
    counts.storms++
    return 503
  }
  const dice = random()
  if (dice < 0.1) {
    counts.cutBefore++
    return -1
  }
  if (dice < 0.2) {
    // Processed, but the answer is lost: the peer's own set must absorb the repetition.
    counts.cutAfter++
    return 0
  }
  counts.ok++
  return 200
}

let child: ChildProcess | undefined
function start(port: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const flags = [
      ['--engine-kind', 'embedding'],
      ['--engine-models', 'test/model'],
      ['--engine-autostart', 'test/model'],
      ['--engine-groups', '2'],
      ['--engine-rate-limit', '400'],
      ['--callbacks-interval-ms', '100'],
      ['--callbacks-backoff-ms', '20'],
      ['--callbacks-max-backoff-ms', '200'],
      ['--poc-stage-deadline-s', '7200'],
      ['--listen-inference', 'off'],
      ['--listen-port', port],
      ['--data-dir', folder],
    ].flat()
    const started = spawn(process.execPath, ['bin/gonka-miner.js', 'serve', '--json', ...flags], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH: process.env.PATH, GONKA_MINER_LOG_LEVEL: 'error' },
    })
    child = started
    started.stdout.once('data', (line: Buffer) => resolve((JSON.parse(line.toString()) as { url: string }).url))
    started.once('exit', (code) => reject(new Error(`the node ended with ${code}`)))
  })
}

async function kill(): Promise<void> {
  const gone = new Promise<void>((resolve) => child?.once('exit', () => resolve()))
  child?.kill('SIGKILL')
  await gone
}

process.stderr.write(`seed ${seed}\n`)
const url = await start('0')
await callUrl(`${url}${pow}/init/generate`, 'POST', initBody(`${peer.url}/v2/poc-batches/m`))
for (let i = 0; i < kills; i++) {
  await sleep(50 + random() * 600)
  await kill()
  await start(new URL(url).port)
  if ((i + 1) % 10 === 0) process.stderr.write(`${i + 1} kills, ${peer.accepted.size} artifacts\n`)
}
await sleep(2000)
peer.answer = () => 200
await callUrl(`${url}${pow}/stop`, 'POST')
for (let i = 0; i < 100; i++) {
  const data = (await callUrl(`${url}/dashboard/data.json`, 'GET')).json
  if (data.artifacts_waiting === 0) break
  await sleep(100)
}
await sleep(600)
const data = (await callUrl(`${url}/dashboard/data.json`, 'GET')).json
const stage = data.stages[0]
await kill()
await peer.close()
removeFolder(folder)

const offered = new Map<number, Set<string>>()
for (const { body } of peer.callbacks) {
  for (const { nonce } of body.artifacts as { nonce: number }[]) {
    const ids = offered.get(nonce) ?? new Set()
    ids.add(body.request_id as string)
    offered.set(nonce, ids)
  }
}
// Each group is dense on its own: a hole would be an artifact that was generated, recorded and lost.
let holes = 0
for (const group of [0, 1]) {
  const own = [...offered.keys()].filter((n) => ((n - 1) / 2) % 2 === group).sort((a, b) => a - b)
  own.forEach((nonce, x) => {
    if (nonce !== 1 + 2 * group + 4 * x) holes++
  })
}
// A cut after processing is not counted by the peer's accepted map, which counts answers; offered is what it saw.
const twiceAsNew = [...offered.values()].filter((ids) => ids.size > 1).length
const report = {
  kills,
  seed,
  callbacks: counts,
  artifacts_seen_by_peer: offered.size,
  generated: stage.generated,
  acknowledged: stage.acknowledged,
  waiting: stage.waiting,
  dropped: stage.dropped,
  redelivered: stage.redelivered,
  holes,
  sent_twice_as_new: twiceAsNew,
}
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
const good =
  holes === 0 &&
  twiceAsNew === 0 &&
  stage.dropped === 0 &&
  stage.waiting === 0 &&
  stage.generated === stage.acknowledged &&
  stage.generated === offered.size
process.exitCode = good ? 0 : 1
