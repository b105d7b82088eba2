// kill -9 of a node at random moments while it generates and delivers through 503 storms, cut connections and lost answers.
// At the end nothing may be missing, nothing may have been sent twice as new.
//
//   node dist/test/stress/kill-loop.js [kills=100] [seed]

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../lib/sim/faults.ts'
import { callUrl, initBody, removeFolder, startPeer, until } from '../node/peer.ts'
import { booksOf, isWhole, startNodeProcess, stopAndDrain } from './child.ts'

const kills = Number(process.argv[2] ?? 100)
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000)
const random = seededRandom(seed)
const folder = mkdtempSync(join(tmpdir(), 'gonka-kill-'))
const peer = await startPeer()
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

const flags = { 'engine-groups': '2', 'engine-rate-limit': '400', 'poc-stage-deadline-s': '7200' }
process.stderr.write(`seed ${seed}\n`)
let node = await startNodeProcess(folder, flags)
await callUrl(`${node.url}/api/v1/inference/pow/init/generate`, 'POST', initBody(`${peer.url}/v2/poc-batches/m`))
for (let i = 0; i < kills; i++) {
  // After some callbacks and a bit: on a slow machine a time alone would hit nothing but starts.
  const seen = peer.callbacks.length + Math.floor(random() * 8)
  await until(() => peer.callbacks.length >= seen, 'callbacks')
  await sleep(random() * 200)
  await node.kill()
  node = await startNodeProcess(folder, { ...flags, 'listen-port': new URL(node.url).port })
  if ((i + 1) % 10 === 0) process.stderr.write(`${i + 1} kills, ${peer.accepted.size} artifacts\n`)
}
await sleep(2000)
peer.answer = () => 200
const stage = await stopAndDrain(node.url)
await node.kill()
await peer.close()
removeFolder(folder)

const books = booksOf(peer, 2)
process.stdout.write(`${JSON.stringify({ kills, seed, callbacks: counts, stage, books }, null, 2)}\n`)
process.exitCode = isWhole(stage, books) ? 0 : 1
