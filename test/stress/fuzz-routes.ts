// Fuzzed bodies over every route of a node's two ports and of a PoC v1 node: no crash, no hang, no 500 without a logged cause.
//
//   node dist/test/stress/fuzz-routes.js [bodies=1000000] [seed]

import process from 'node:process'
import { loadNative } from '../../lib/native.ts'
import { seededRandom } from '../../lib/sim/faults.ts'
import { removeFolder, startNode } from '../node/peer.ts'
import { fuzzTargets } from './fuzz-targets.ts'

const total = Number(process.argv[2] ?? 1_000_000)
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000)
const random = seededRandom(seed)
const flags = { 'log.level': 'error', 'poc.max_queued_nonces': '2000' }
// A hub that nobody is: downloads fail at once.
const env = { HF_ENDPOINT: 'http://127.0.0.1:1' }
const node = await startNode({ ...flags, 'engine.rate_limit': '0' }, { env })
const nodeV1 = await startNode(
  { ...flags, 'engine.kind': 'v1', 'engine.autostart': '' },
  { env, native: async () => loadNative() },
)
const targets = fuzzTargets(node, nodeV1)
const logged = () => node.logs.length + nodeV1.logs.length

const odd: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  -1e308,
  2 ** 53,
  '',
  'x',
  '\u0000',
  '\ud800',
  '9'.repeat(400),
  'A'.repeat(5000),
  [],
  {},
  [[[[]]]],
  { __proto__: null, constructor: 1 },
  'http://169.254.169.254/',
  'http://127.0.0.1:1/',
]
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T

function mutate(value: unknown): unknown {
  const dice = random()
  if (dice < 0.15) return pick(odd)
  if (Array.isArray(value)) {
    const out = value.map((entry) => (random() < 0.3 ? mutate(entry) : entry))
    if (random() < 0.2) out.push(pick(odd))
    if (random() < 0.05) for (let i = 0; i < 300; i++) out.push(i)
    return out
  }
  if (typeof value === 'object' && value !== null) {
    const out: Record<string, unknown> = {}
    for (const [key, entry] of Object.entries(value)) {
      const d = random()
      if (d < 0.05) continue
      out[d < 0.07 ? `${key}x` : key] = random() < 0.25 ? mutate(entry) : entry
    }
    if (random() < 0.1) out[pick(['__proto__', 'constructor', 'toString', 'extra'])] = pick(odd)
    return out
  }
  if (typeof value === 'number')
    return pick([value, -value, value + 0.5, value * 1e9, Number.MAX_SAFE_INTEGER, String(value)])
  if (typeof value === 'string')
    return pick([value, value.toUpperCase(), `${value}\n`, value.slice(1), value.repeat(50)])
  return value
}

function bodyText(value: unknown): string | undefined {
  if (value === undefined) return random() < 0.5 ? undefined : JSON.stringify(pick(odd))
  const text = JSON.stringify(mutate(value)) ?? ''
  const dice = random()
  if (dice < 0.05) return text.slice(0, Math.floor(random() * text.length))
  if (dice < 0.1) {
    const at = Math.floor(random() * text.length)
    return text.slice(0, at) + String.fromCharCode(Math.floor(random() * 256)) + text.slice(at + 1)
  }
  if (dice < 0.11) return '['.repeat(20_000)
  return text
}

const statuses: Record<string, number> = {}
const internal: string[] = []
let unexplained = 0
const slowest: { ms: number; request: string }[] = []
const started = performance.now()
process.stderr.write(`seed ${seed}\n`)
for (let done = 0; done < total; ) {
  const round = Array.from({ length: 50 }, async () => {
    const { server, method, path, body } = pick(targets)
    const payload = method === 'GET' ? undefined : bodyText(body)
    const before = logged()
    const begin = performance.now()
    const answer = await server.inject({
      method: method as 'GET',
      url: random() < 0.02 ? path + pick(['/', '%00', '/../..', '?a=%zz', '/%252F']) : path,
      ...(payload === undefined
        ? {}
        : { payload, headers: { 'content-type': pick(['application/json', 'text/plain', 'x/y']) } }),
    })
    const ms = Math.round(performance.now() - begin)
    if (ms > (slowest[0]?.ms ?? 0))
      slowest.unshift({ ms, request: `${method} ${path} ${payload?.slice(0, 200) ?? ''}` })
    statuses[answer.statusCode] = (statuses[answer.statusCode] ?? 0) + 1
    // A failed start explains itself in its answer; anything else must be in the log.
    const explained = answer.body.includes('Failed to start') || logged() > before
    if (answer.statusCode >= 500 && answer.statusCode !== 503 && answer.statusCode !== 502 && !explained) {
      unexplained++
      process.stderr.write(`unexplained ${answer.statusCode} of ${method} ${path}: ${payload?.slice(0, 200)}\n`)
    }
  })
  await Promise.all(round)
  done += round.length
  for (const { logs } of [node, nodeV1]) {
    internal.push(...logs.filter((line) => line.includes('failed inside the node')))
    logs.length = 0
  }
  if (done % 50_000 === 0) process.stderr.write(`${done} bodies\n`)
  // Its tiny model computes without pause and leaves little of the machine to the requests.
  if (done % 500 === 0) await nodeV1.management.inject({ method: 'POST', url: '/api/v1/pow/stop' })
  // Keep the node in its working state, so that bodies meet all of it.
  if (done % 5000 === 0) {
    await node.management.inject({ method: 'POST', url: '/api/v1/inference/pow/stop' })
    await node.management.inject({
      method: 'POST',
      url: '/api/v1/inference/up',
      payload: JSON.stringify({ model: 'test/model' }),
    })
  }
}
const states = [await node.call('GET', '/api/v1/state'), await nodeV1.call('GET', '/api/v1/state')]
const alive = states.every(({ status }) => status === 200)
const report = {
  bodies: total,
  seed,
  seconds: Math.round((performance.now() - started) / 1000),
  statuses,
  unexplained_500: unexplained,
  internal_errors: internal.length,
  slowest: slowest.slice(0, 3),
  alive,
}
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
for (const line of internal.slice(0, 5)) process.stderr.write(line)
for (const each of [node, nodeV1]) {
  await each.close()
  removeFolder(each.folder)
}
process.exitCode = unexplained === 0 && internal.length === 0 && alive ? 0 : 1
