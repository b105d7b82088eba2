import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { main } from '../../lib/cli.ts'
import { collect, namedParams, openDevice, type PocV1Params, parseParams, pocV1 } from '../../lib/index.ts'
import { testIo } from '../io.ts'

t.setTimeout(0)

interface Meta {
  params: PocV1Params
  block_hash: string
  public_key: string
  block_height: number
  node_id: number
  nonces: number[]
  dist_fp64_decimal: number[]
  r_target: number
  sub_batch: { fp32: { nonces: number[] } }
}
const models = ['tiny', 'gqa', 'scaled_rope', 'v1like', 'seq1', 'stress_tiny']
const metaOf = (name: string) => JSON.parse(readFileSync(`test/golden/v1/fwd_${name}/meta.json`, 'utf8')) as Meta
/** golden README section 2: an engine with fp32 activations against the float64 distances. */
const tolerance = 1e-6

const run = async (argv: string[], signal?: AbortSignal) => {
  const io = testIo(signal ? { signal } : {})
  return { code: await main(argv, io), out: io.outText(), err: io.errText() }
}

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  a.length === b.length
    ? Array.from(a).reduce((worst, x, i) => Math.max(worst, Math.abs(x - (b[i] as number))), 0)
    : Number.POSITIVE_INFINITY

const device = await openDevice()
t.teardown(() => device.close())

t.test('every golden model, as a library', async (t) => {
  for (const name of models) {
    const meta = metaOf(name)
    const weights = name === 'stress_tiny' ? readFileSync(`test/golden/v1/fwd_${name}/weights_all_f16.bin`) : undefined
    const round = {
      device,
      params: parseParams(meta.params, name),
      blockHash: meta.block_hash,
      publicKey: meta.public_key,
      nonces: BigInt64Array.from(meta.nonces, BigInt),
      ...(weights ? { weights } : {}),
    }
    const all = await collect(pocV1(round))
    t.same([...all.nonces].map(Number), meta.nonces, name)
    const worst = largestDifference(all.dist, meta.dist_fp64_decimal)
    t.ok(worst <= tolerance, `${name}: largest difference ${worst}`)
    t.match(all.stats, { computed: meta.nonces.length, kept: meta.nonces.length })

    const kept = await collect(pocV1({ ...round, rTarget: meta.r_target, batch: 7 }))
    t.same([...kept.nonces].map(Number), meta.sub_batch.fp32.nonces, `${name}: kept below r_target, in batches of 7`)
    t.equal(kept.stats.computed, meta.nonces.length)
  }
})

t.test('poc v1 --json', async (t) => {
  const meta = metaOf('stress_tiny')
  const file = join(t.testdir({ 'params.json': JSON.stringify(meta.params) }), 'params.json')
  const argv = [
    'poc',
    'v1',
    '--params',
    file,
    '--block-hash',
    meta.block_hash,
    '--public-key',
    meta.public_key,
    '--json',
  ]
  const weights = ['--weights', 'test/golden/v1/fwd_stress_tiny/weights_all_f16.bin']
  const { code, out } = await run([...argv, ...weights, '--nonces', meta.nonces.join(',')])
  t.equal(code, 0)
  const document = JSON.parse(out) as { nonces: number[]; dist: number[] }
  t.same(Object.keys(document), ['protocol', 'params', 'block_hash', 'public_key', 'nonces', 'dist'])
  t.match(document, {
    protocol: 'poc-v1',
    params: meta.params,
    block_hash: meta.block_hash,
    public_key: meta.public_key,
    nonces: meta.nonces,
  })
  t.ok(largestDifference(document.dist, meta.dist_fp64_decimal) <= tolerance)
  const filtered = await run([
    ...argv,
    ...weights,
    '--nonces',
    meta.nonces.join(','),
    '--r-target',
    String(meta.r_target),
  ])
  t.match(JSON.parse(filtered.out), { r_target: meta.r_target, nonces: meta.sub_batch.fp32.nonces })
  const lines = await run([...argv.slice(0, -1), ...weights, '--nonces', '5,3'])
  t.match(lines.out, /^5 \d\.\d+\n3 \d\.\d+\n$/, 'plain: a nonce and its distance per line')
  t.match(lines.err, /2 nonces in .* nonces\/s/)

  const misuse: [string[], RegExp][] = [
    [argv.slice(0, 6), /required option '--public-key/],
    [[...argv, '--nonces', '3-1'], /ERR_GK_NONCES.*runs backwards/],
    [[...argv, '--nonces', '1', '--weights', file], /ERR_GK_PARAMS.* bytes; these params need 270976/],
    [[...argv, '--nonces', '1', '--r-target', '3'], /Expected a number above 0, at most 2/],
    [[...argv, '--nonces', '1', '--batch', '0'], /Expected an integer in 1\.\.65536/],
    [[...argv, '--nonces', '1', '--device', 'cuda:0'], /ERR_GK_USAGE: no device "cuda:0"/],
    [[...argv, '--nonces', '1', '--threads', 'many'], /Expected an integer in 1\.\.4096/],
  ]
  for (const [words, message] of misuse) t.match(await run(words), { code: 2, out: '', err: message }, String(message))
})

t.test('poc v1 validate', async (t) => {
  const meta = metaOf('tiny')
  const folder = t.testdir({ 'params.json': JSON.stringify(meta.params) })
  const validate = async (batch: object, ...more: string[]) => {
    const path = join(folder, 'batch.json')
    writeFileSync(path, JSON.stringify(batch))
    const params = join(folder, 'params.json')
    const words = [
      'poc',
      'v1',
      'validate',
      '--batch',
      path,
      '--params',
      params,
      '--r-target',
      String(meta.r_target),
      ...more,
    ]
    return run(words)
  }
  const honest = {
    public_key: meta.public_key,
    block_hash: meta.block_hash,
    block_height: meta.block_height,
    nonces: meta.sub_batch.fp32.nonces,
    dist: meta.sub_batch.fp32.nonces.map((nonce) => meta.dist_fp64_decimal[meta.nonces.indexOf(nonce)] as number),
    node_id: meta.node_id,
  }
  const n = honest.nonces.length
  const good = await validate(honest, '--json')
  t.equal(good.code, 0)
  t.match(JSON.parse(good.out), { n_invalid: 0, probability_honest: 1, fraud_detected: false, nonces: honest.nonces })
  t.match(await validate(honest), { code: 0, out: /^honest: 0 of \d+/ })

  // The miner claims nonces that are above the target: as many of them as it takes.
  const others = meta.nonces.filter((nonce) => !meta.sub_batch.fp32.nonces.includes(nonce))
  const fake = { ...honest, nonces: [...honest.nonces, ...others], dist: [...honest.dist, ...others.map(() => 1)] }
  const bad = await validate(fake, '--json')
  t.equal(bad.code, 1)
  const verdict = JSON.parse(bad.out) as { dist: number[]; received_dist: number[]; probability_honest: number }
  t.match(verdict, { n_invalid: others.length, fraud_detected: true, fraud_threshold: 1e-7 })
  t.same(verdict.received_dist, fake.dist)
  t.equal(verdict.dist.length, n + others.length)
  t.match(await validate(fake), { code: 1, out: /^FRAUD/ })
  t.match(await validate(fake, '--fraud-threshold', '0'), { code: 0 }, 'the threshold is strict')

  t.match(await validate({ ...honest, nonces: [], dist: [] }, '--json'), { code: 0 }, 'an empty batch')
  const misuse: [object, RegExp][] = [
    [
      { ...honest, dist: honest.dist.map(() => meta.r_target) },
      /ERR_GK_BATCH: claimed distance .* is not below r_target/,
    ],
    [{ ...honest, dist: honest.dist.slice(1) }, /ERR_GK_BATCH: .*nonces but/],
    [{ ...honest, nonces: honest.nonces.map(() => 1) }, /ERR_GK_BATCH: .*listed twice/],
    [{ ...honest, nonces: honest.nonces.map((nonce) => nonce + 0.5) }, /ERR_GK_BATCH: .*nonces/],
    [{ ...honest, extra: 1 }, /unknown field "extra"/],
    [[], /ERR_GK_BATCH/],
  ]
  for (const [batch, message] of misuse) t.match(await validate(batch), { code: 2, err: message }, String(message))
})

/** Parameters that keep one processor busy for a while. */
const slow = { ...namedParams.default, n_layers: 2 }

t.test('stopping', async (t) => {
  const nonces = BigInt64Array.from({ length: 100_000 }, (_, i) => BigInt(i))
  const round = { device, params: slow, blockHash: 'x', publicKey: 'y', nonces, batch: 2 }
  let batches = 0
  for await (const batch of pocV1(round)) {
    t.equal(batch.nonces.length, 2)
    if (++batches === 2) break
  }
  t.equal(batches, 2, 'leaving the loop ends the round')

  const stop = new AbortController()
  const stopped = (async () => {
    for await (const _ of pocV1({ ...round, signal: stop.signal })) stop.abort()
  })()
  await t.rejects(stopped, { code: 'ERR_GK_CANCELLED' })
  await t.rejects(collect(pocV1({ ...round, signal: stop.signal })), { code: 'ERR_GK_CANCELLED' }, 'before it began')
  const during = new AbortController()
  const opening = collect(pocV1({ ...round, signal: during.signal, onProgress: () => during.abort() }))
  await t.rejects(opening, { code: 'ERR_GK_CANCELLED' }, 'while the model is made')

  const aborted = await run(
    ['poc', 'v1', '--block-hash', 'x', '--public-key', 'y', '--nonces', '0-9'],
    AbortSignal.abort(),
  )
  t.match(aborted, { code: 130, out: '' })
})

/**
 * User and system time of a process, from /proc/PID/stat (proc(5): fields 14 and 15, in hundredths of a second); infinite
 * once it has ended, which it may have before the event that says so.
 */
function processorSeconds(pid: number): number {
  let line: string
  try {
    line = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Infinity
    throw error
  }
  const fields = line.split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

t.test('Ctrl-C ends the program within a second', async (t) => {
  const params = join(t.testdir({ 'slow.json': JSON.stringify(slow) }), 'slow.json')
  const words = ['poc', 'v1', '--params', params, '--block-hash', 'x', '--public-key', 'y', '--nonces', '0-999999']
  // Processor seconds used tell how far a silent program is: 0.5 while the model is made, 6 within the round.
  for (const [busySeconds, signal] of [
    [0.5, 'SIGINT'],
    [6, 'SIGINT'],
    [6, 'SIGTERM'],
  ] as const) {
    const child = spawn(process.execPath, ['bin/gonka-miner.js', ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
    let err = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    while (processorSeconds(child.pid as number) < busySeconds) await sleep(20)
    const began = performance.now()
    child.kill(signal)
    t.same(await exit, [130, null], `${signal}: ${err}`)
    t.comment(`${signal}: ended after ${Math.round(performance.now() - began)} ms`)
  }
})
