import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { statusCodes } from '../../lib/errors.ts'
import { loadNative } from '../../lib/native.ts'
import { blockHash, nonces, publicKey, smallParams, tinyParams } from './fixtures.ts'

const native = loadNative()
const threadCount = () => readdirSync('/proc/self/task').length

/** Waits until the condition holds; the test fails by never ending otherwise, so it gives up after ten seconds. */
async function eventually(condition: () => boolean): Promise<boolean> {
  for (let i = 0; i < 200; ++i) {
    if (condition()) return true
    await sleep(50)
  }
  return condition()
}

t.test('status codes of the C boundary, the addon and errors.ts agree', async (t) => {
  t.same(native.statusCodes, Object.keys(statusCodes))
  const header = readFileSync('native/include/gonka_backend.h', 'utf8')
  for (const [code, value] of Object.entries(statusCodes))
    t.match(header, new RegExp(`\\b${code.replace('ERR_', '')} = ${value}\\b`))
})

t.test('wrong types throw TypeError, wrong values reject with a code', async (t) => {
  // @ts-expect-error: a number where an id belongs
  await t.rejects(native.openDevice({ device: 7 }), { name: 'TypeError', message: /device: expected a string/ })
  await t.rejects(native.openDevice({ device: 'nowhere:0' }), { code: 'ERR_GK_INVALID_ARGUMENT', message: /cpu/ })
  await t.rejects(native.openDevice({ device: 'cpu:7' }), { code: 'ERR_GK_INVALID_ARGUMENT' })
  const device = await native.openDevice({ device: 'cpu:0', threads: 1 })
  const broken = { ...tinyParams, dim: 63 }
  await t.rejects(device.pocV1Open({ params: broken, blockHash }), { code: 'ERR_GK_INVALID_ARGUMENT', message: /dim/ })
  await t.rejects(device.pocV1Open({ params: tinyParams, blockHash, weights: new Uint8Array(10) }), {
    code: 'ERR_GK_INVALID_ARGUMENT',
    message: /weights: expected \d+ bytes/,
  })
  const session = await device.pocV1Open({ params: tinyParams, blockHash })
  await t.rejects(
    session.run({ publicKey, nonces: BigInt64Array.of(-1n) }, () => {}),
    { code: 'ERR_GK_INVALID_ARGUMENT', message: /nonce -1/ },
  )
  const plain = [1n] as unknown as BigInt64Array
  await t.rejects(
    session.run({ publicKey, nonces: plain }, () => {}),
    { name: 'TypeError' },
  )
  await session.close()
  await t.rejects(
    session.run({ publicKey, nonces: nonces(1) }, () => {}),
    { code: 'ERR_GK_INVALID_ARGUMENT', message: /closed/ },
  )
  await device.close()
  await t.rejects(device.cpuPeak({ brief: true }), { code: 'ERR_GK_INVALID_ARGUMENT', message: /closed/ })
})

t.test('a throwing callback ends the run with its error', async (t) => {
  const device = await native.openDevice({ device: 'cpu:0' })
  const session = await device.pocV1Open({ params: tinyParams, blockHash })
  const run = session.run({ publicKey, nonces: nonces(1000), batch: 1 }, () => {
    throw new RangeError('mine')
  })
  await t.rejects(run, { name: 'RangeError', message: 'mine' })
  await device.close()
})

t.test('the inputs of a call may be collected while it works', async (t) => {
  const device = await native.openDevice({ device: 'cpu:0' })
  const session = await device.pocV1Open({ params: tinyParams, blockHash })
  const want: number[] = []
  await session.run({ publicKey, nonces: nonces(64) }, (_, dist) => want.push(...dist))
  const got: number[] = []
  const list = nonces(64)
  const run = session.run({ publicKey, nonces: list, batch: 4 }, (_, dist) => got.push(...dist))
  list.fill(99n)
  for (let i = 0; i < 20; ++i) {
    new ArrayBuffer(1 << 22)
    globalThis.gc?.()
    await sleep(1)
  }
  await run
  t.equal(got.length, want.length)
  t.ok(got.every((d, i) => Math.abs(d - (want[i] ?? Number.NaN)) <= 1e-6))
  await device.close()
})

t.test('while a round runs, timers are on time', async (t) => {
  const device = await native.openDevice({ device: 'cpu:0' })
  // Another process may take the processors away for a moment; an event loop that is blocked by us is late every time.
  const latest: number[] = []
  for (let attempt = 0; attempt < 5 && (latest.at(-1) ?? Number.POSITIVE_INFINITY) >= 50; ++attempt) {
    const delay = monitorEventLoopDelay({ resolution: 10 })
    delay.enable()
    const session = await device.pocV1Open({ params: smallParams, blockHash })
    await session.run({ publicKey, nonces: nonces(96) }, () => {})
    await session.close()
    delay.disable()
    latest.push(delay.max / 1e6)
  }
  t.comment(`10 ms timers at most ${latest.map((ms) => ms.toFixed(1)).join(', ')} ms apart`)
  t.ok((latest.at(-1) ?? 0) < 60, 'never more than 50 ms late')
  await device.close()
})

t.test('an aborted run stops within a batch', async (t) => {
  const device = await native.openDevice({ device: 'cpu:0' })
  const session = await device.pocV1Open({ params: smallParams, blockHash })
  const abort = new AbortController()
  let batches = 0
  const run = session.run(
    { publicKey, nonces: nonces(1_000_000), batch: 8 },
    () => {
      if (++batches === 2) abort.abort()
    },
    abort.signal,
  )
  await t.rejects(run, { code: 'ERR_GK_CANCELLED' })
  t.ok(batches <= 4, `${batches} batches`)
  await t.rejects(
    session.run({ publicKey, nonces: nonces(1) }, () => {}, abort.signal),
    { code: 'ERR_GK_CANCELLED' },
  )
  // The session is still good.
  let computed = 0
  await session.run({ publicKey, nonces: nonces(3) }, (_n, _d, count) => {
    computed += count
  })
  t.equal(computed, 3)
  await device.close()
})

t.test('opening a model can be cancelled', async (t) => {
  const device = await native.openDevice({ device: 'cpu:0' })
  const abort = new AbortController()
  const opening = device.pocV1Open({ params: smallParams, blockHash }, () => abort.abort(), abort.signal)
  await t.rejects(opening, { code: 'ERR_GK_CANCELLED' })
  await device.close()
})

t.test('calls on one device queue; closing cancels what is under way', async (t) => {
  const device = await native.openDevice({ device: 'cpu:0' })
  const session = await device.pocV1Open({ params: tinyParams, blockHash })
  const runs = Array.from({ length: 4 }, () => {
    const out: number[] = []
    return session.run({ publicKey, nonces: nonces(40) }, (_, dist) => out.push(...dist)).then(() => out)
  })
  const [first, ...others] = await Promise.all(runs)
  for (const other of others) t.same(other, first)
  const endless = session.run({ publicKey, nonces: nonces(10_000_000), batch: 1 }, () => {})
  const rejected = t.rejects(endless, { code: 'ERR_GK_CANCELLED' })
  await device.close()
  await rejected
})

t.test('200 open and close cycles leak neither memory nor threads', async (t) => {
  const cycle = async () => {
    const device = await native.openDevice({ device: 'cpu:0' })
    const session = await device.pocV1Open({ params: tinyParams, blockHash })
    await session.run({ publicKey, nonces: nonces(4) }, () => {})
    await session.close()
    await device.close()
  }
  for (let i = 0; i < 50; ++i) await cycle()
  globalThis.gc?.()
  const before = { rss: process.memoryUsage().rss, threads: threadCount() }
  for (let i = 0; i < 200; ++i) await cycle()
  globalThis.gc?.()
  t.ok(await eventually(() => threadCount() <= before.threads), `${threadCount()} threads, before ${before.threads}`)
  const grown = process.memoryUsage().rss - before.rss
  t.comment(`grew by ${(grown / 1e6).toFixed(1)} MB`)
  // One session is about 0.5 MB: 200 of them lost would be 100 MB.
  t.ok(grown < 40e6)
})

t.test('it runs inside worker_threads, also when a worker is ended in the middle', async (t) => {
  const source = `
    import { workerData, parentPort } from 'node:worker_threads'
    const { loadNative } = await import(workerData.native)
    const device = await loadNative().openDevice({ device: 'cpu:0', threads: 1 })
    const session = await device.pocV1Open({ params: workerData.params, blockHash: workerData.blockHash })
    const out = []
    await session.run({ publicKey: workerData.publicKey, nonces: BigInt64Array.from(workerData.nonces) }, (_, d) => {
      out.push(...d)
      parentPort.postMessage('batch')
    })
    parentPort.postMessage(out)
    await device.close()`
  const start = (count: number, params = tinyParams) =>
    new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
      workerData: {
        native: new URL('../../lib/native.js', import.meta.url).href,
        params,
        blockHash,
        publicKey,
        nonces: [...nonces(count)],
      },
    })
  const results = await Promise.all(
    [5, 5].map(
      (count) =>
        new Promise((resolve, reject) => {
          const worker = start(count)
          worker.on('message', (message) => message !== 'batch' && resolve(message))
          worker.on('error', reject)
        }),
    ),
  )
  t.equal((results[0] as number[]).length, 5)
  t.same(results[0], results[1])

  const before = threadCount()
  const endless = start(100_000, smallParams)
  await new Promise((resolve, reject) => {
    endless.on('message', resolve)
    endless.on('error', reject)
  })
  await endless.terminate()
  t.ok(await eventually(() => threadCount() <= before), 'no thread outlives its worker')
})

t.test('the process may exit in the middle of everything', async (t) => {
  const lib = new URL('../../lib/native.js', import.meta.url).href
  const body = `
    const { loadNative } = await import(${JSON.stringify(lib)})
    const device = await loadNative().openDevice({ device: 'cpu:0' })
    const request = ${JSON.stringify({ params: smallParams, blockHash })}
    if (process.argv[1] === 'open') { device.pocV1Open(request, () => process.exit(7)) }
    else {
      const session = await device.pocV1Open(request)
      const nonces = BigInt64Array.from({ length: 100000 }, (_, i) => BigInt(i))
      session.run({ publicKey: 'x', nonces, batch: 4 }, () => process.exit(8))
    }`
  for (const [when, code] of [
    ['open', 7],
    ['run', 8],
  ] as const) {
    const result = spawnSync(process.execPath, ['--input-type=module', '-e', body, when], { encoding: 'utf8' })
    t.equal(result.status, code, `${when}: ${result.stderr}`)
    t.equal(result.signal, null)
  }
})
