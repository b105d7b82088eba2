// Faults of the machine and of the peer, one after the other, each with real ones: a disk that is full (a small tmpfs,
// needs root), a wall clock that jumps (libfaketime), a peer that answers late, out of order or not at all.
//
//   node dist/test/stress/faults.js [disk clock slow]
//
// Exit code 1 if anything generated was lost, counted twice or not offered, or if a scenario could not be set up.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { callUrl, initBody, type Peer, removeFolder, startPeer, until } from '../node/peer.ts'
import { booksOf, isWhole, type NodeProcess, overviewOf, startNodeProcess, stopAndDrain } from './child.ts'

const pow = '/api/v1/inference/pow'
const init = (node: NodeProcess, url: string) => callUrl(`${node.url}${pow}/init/generate`, 'POST', initBody(url))
const status = async (node: NodeProcess, path: string) => (await callUrl(`${node.url}${path}`, 'GET')).status

async function finish(node: NodeProcess, peer: Peer): Promise<Record<string, unknown>> {
  const stage = await stopAndDrain(node.url)
  await node.kill()
  await peer.close()
  const books = booksOf(peer, 1)
  return { whole: isWhole(stage, books), stage, books }
}

/** The disk fills up while the node generates, has room again later, and the process is killed after that. */
async function fullDisk(): Promise<Record<string, unknown>> {
  const folder = mkdtempSync(join(tmpdir(), 'gonka-full-'))
  const mount = (options: string) => execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder])
  mount('size=1m')
  try {
    const peer = await startPeer()
    const flags = { 'engine-rate-limit': '1500', 'engine-embedding-dim': '16', 'poc-stage-deadline-s': '3600' }
    let node = await startNodeProcess(folder, flags)
    await init(node, peer.url)
    await until(async () => (await status(node, '/readyz')) === 503, 'a full disk')
    const before = peer.accepted.size
    await until(() => peer.accepted.size > before + 2000, 'deliveries while the disk is full')
    const { store } = await overviewOf(node.url)
    peer.answer = () => 503
    await sleep(1000)
    mount('remount,size=64m')
    await until(async () => (await status(node, '/readyz')) === 200, 'a disk that takes writes again')
    await node.kill()
    node = await startNodeProcess(folder, { ...flags, 'listen-port': new URL(node.url).port })
    peer.answer = () => 200
    const delivered = peer.accepted.size
    await until(() => peer.accepted.size > delivered + 500, 'deliveries after the restart')
    return { error_reported: store.error, delivered_while_full: delivered - before, ...(await finish(node, peer)) }
  } finally {
    execFileSync('umount', [folder])
    removeFolder(folder)
  }
}

const fakeTime = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'

/** The wall clock jumps five minutes ahead, back, and five minutes behind, in the middle of a stage of four minutes. */
async function clockJump(): Promise<Record<string, unknown>> {
  if (!existsSync(fakeTime)) throw new Error(`${fakeTime} is missing: apt-get install faketime`)
  const folder = mkdtempSync(join(tmpdir(), 'gonka-clock-'))
  const file = join(folder, 'offset')
  writeFileSync(file, '+0')
  const peer = await startPeer()
  const flags = { 'engine-rate-limit': '200', 'poc-stage-deadline-s': '240' }
  const node = await startNodeProcess(join(folder, 'data'), flags, {
    LD_PRELOAD: fakeTime,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  })
  await init(node, peer.url)
  const seen: number[] = []
  for (const offset of ['+0', '+300', '+0', '-300']) {
    writeFileSync(file, offset)
    const from = peer.accepted.size
    await until(() => peer.accepted.size > from + 200, `deliveries at ${offset} s`)
    seen.push(Math.round(((await overviewOf(node.url)).at - Date.now()) / 1000))
  }
  const result = { clock_of_the_node_s: seen, ...(await finish(node, peer)) }
  removeFolder(folder)
  const jumped = Math.abs((seen[1] ?? 0) - 300) < 5 && Math.abs((seen[3] ?? 0) + 300) < 5
  return jumped ? result : { ...result, whole: false, why: 'the clock did not jump' }
}

/** A proxy holds every callback up to 1.5 s, so that answers overtake each other and some come after the node's timeout of
 *  1 s, and hands every third one on twice. */
async function slowPeer(): Promise<Record<string, unknown>> {
  const folder = mkdtempSync(join(tmpdir(), 'gonka-slow-'))
  const peer = await startPeer()
  let n = 0
  const counts = { late: 0, twice: 0 }
  const proxy = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const index = n++
      const delay = (index * 577) % 1500
      if (delay >= 1000) counts.late++
      const pass = () => {
        const onward = httpRequest(`${peer.url}${request.url}`, { method: 'POST' }, (answer) => {
          answer.resume()
          if (!response.headersSent) response.writeHead(answer.statusCode ?? 502).end()
        })
        onward.on('error', () => response.destroy())
        onward.end(Buffer.concat(parts))
      }
      setTimeout(pass, delay)
      if (index % 3 === 0) {
        counts.twice++
        setTimeout(pass, delay + 700)
      }
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const flags = { 'engine-rate-limit': '300', 'callbacks-timeout-ms': '1000', 'poc-stage-deadline-s': '600' }
  const node = await startNodeProcess(folder, flags)
  await init(node, url)
  await until(() => peer.accepted.size > 6000, 'deliveries')
  const result = { ...counts, ...(await finish(node, peer)) }
  proxy.closeAllConnections()
  proxy.close()
  removeFolder(folder)
  return result
}

const scenarios = { disk: fullDisk, clock: clockJump, slow: slowPeer }
const wanted = process.argv.slice(2)
const report: Record<string, unknown> = {}
for (const [name, scenario] of Object.entries(scenarios)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  process.stderr.write(`${name}\n`)
  report[name] = await scenario().catch((error: unknown) => ({ whole: false, why: String(error) }))
}
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
process.exitCode = Object.values(report).every((result) => (result as { whole?: unknown }).whole === true) ? 0 : 1
