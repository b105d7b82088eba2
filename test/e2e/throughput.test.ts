import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { keyOf, writeKeyFile } from '../../lib/chain/key-file.ts'
import { publicKeyOf, sign } from '../../lib/chain/keys.ts'
import { main } from '../../lib/cli.ts'
import { openDevice, proveThroughput, verify } from '../../lib/index.ts'
import { loadNative } from '../../lib/native.ts'
import type { MatmulPowRunRequest, NativeDevice, OnShares } from '../../lib/native-api.ts'
import { encodePayload, encodeProofFile } from '../../lib/proof/codec.ts'
import type { MatmulPowStatement } from '../../lib/proof/payload.ts'
import { chooseDifficulty, isPlausible } from '../../lib/proof/prove-throughput.ts'
import { checkSharesHere } from '../../lib/proof/recompute-tickets.ts'
import { targetFor, winProbability } from '../../lib/protocol/matmul-pow.ts'
import { testIo } from '../io.ts'
import { otherPrivateKey, privateKey, publicKeyHex } from '../proof/samples.ts'

t.setTimeout(0)

const device = await openDevice()
t.teardown(() => device.close())
const key = keyOf(privateKey)
const small = { profile: 'i8', m: 256, n: 256, k: 256 } as const
const neverOpened = async (): Promise<never> => {
  throw new Error('matmul-pow needs no device')
}
const check = (bytes: Uint8Array) => verify(bytes, { device: neverOpened, sample: 'all' })
/** Whether the tile of share i would win in another nonce, too. */
async function winsAt(job: MatmulPowStatement, nonce: bigint, i: number): Promise<boolean> {
  const [bi, bj] = [job.bi.slice(i, i + 1), job.bj.slice(i, i + 1)]
  return (await checkSharesHere({ job, nonces: BigUint64Array.of(nonce), bi, bj }))[0] === 1
}

t.test('difficulty', async (t) => {
  for (const p of [0.25, 1 / 3, 1e-3, 1.5e-9, 2 ** -100]) {
    t.ok(Math.abs(winProbability(targetFor(p)) / p - 1) < 1e-14, `p = ${p}`)
  }
  t.equal(Buffer.from(targetFor(0.25)).toString('hex'), `40${'0'.repeat(62)}`)
  for (const p of [0, 1, -1, Number.NaN, 2 ** -101]) t.throws(() => targetFor(p), RangeError)
  t.same(chooseDifficulty(4_000_000), { shares: 4000, p: 1e-3 })
  t.same(chooseDifficulty(100), { shares: 25, p: 0.25 })
  t.same(chooseDifficulty(0.5), { shares: 1, p: 0.25 }, 'at least one share, which may take longer')
  t.same(chooseDifficulty(1000, 10), { shares: 10, p: 0.01 })
  const job = {
    ...small,
    shares: 1000,
    target: targetFor(1e-3),
    challenge: new Uint8Array(32),
    publicKey: key.publicKey,
  }
  t.equal(isPlausible(job, 1_000_000, 16), true)
  t.equal(isPlausible(job, 850_000, 16), false, 'more shares than the tiles can have given')
  t.equal(isPlausible(job, 1_200_000, 16), false, 'wrong products win as seldom as right ones, but lost ones do not')
})

t.test('an honest proof, and what can be altered', async (t) => {
  const honest = await proveThroughput({ ...small, device, key, seconds: 0.05, shares: 32 })
  const { statement } = honest.payload
  t.equal(honest.measured.plausible, true)
  t.equal(statement.nonces.length, 32, 'exactly as many as declared')
  const order = Array.from(
    statement.nonces,
    (nonce, i) => [nonce, statement.bi[i], statement.bj[i]] as [bigint, number, number],
  )
  const sorted = order.toSorted((a, b) => Number(a[0] - b[0]) || a[1] - b[1] || a[2] - b[2])
  t.same(order, sorted, 'the first shares of the nonces')
  t.match(await check(honest.bytes), { valid: true, recomputation: { computed: 32, mismatches: 0 } })

  const forge = (change: Partial<MatmulPowStatement>, signer = privateKey) => {
    const payload = encodePayload({ ...honest.payload, statement: { ...statement, ...change } })
    return encodeProofFile({ payload, publicKey: publicKeyOf(signer), signature: sign(payload, signer) })
  }
  t.match(await check(forge({})), { valid: true }, 'unaltered')
  const twice = <A extends BigUint64Array | Uint32Array>(list: A) =>
    list.map((x, i) => (i === 1 ? list[0] : x) as never) as A
  // Where tiles are slow p is large, up to 1/4, and the same tile of another nonce may well win: that is no forgery.
  let losing = (statement.nonces[7] as bigint) + 1_000_000n
  while (await winsAt(statement, losing, 7)) losing++
  const cases: [string, Uint8Array][] = [
    ['m', forge({ m: 512 })],
    ['n', forge({ n: 512 })],
    ['k', forge({ k: 512 })],
    ['profile', forge({ profile: 'i4' })],
    ['target', forge({ target: statement.target.map((byte, i) => (i === 31 ? byte ^ 1 : byte)) })],
    ['challenge', forge({ challenge: statement.challenge.map((byte, i) => (i === 7 ? byte ^ 1 : byte)) })],
    ['fewer shares declared', forge({ shares: 31 })],
    [
      'a share dropped and declared so',
      forge({ shares: 31, nonces: statement.nonces.slice(1), bi: statement.bi.slice(1), bj: statement.bj.slice(1) }),
    ],
    ['a share twice', forge({ nonces: twice(statement.nonces), bi: twice(statement.bi), bj: twice(statement.bj) })],
    ['another nonce', forge({ nonces: statement.nonces.map((nonce, i) => (i === 7 ? losing : nonce)) })],
    ['another signer', forge({}, otherPrivateKey)],
    ['another key', forge({ publicKey: publicKeyOf(otherPrivateKey) }, otherPrivateKey)],
  ]
  for (const [name, bytes] of cases) t.equal((await check(bytes)).valid, false, name)
  const flipped = honest.bytes.map((byte, i) => (i === honest.bytes.length >> 1 ? byte ^ 4 : byte))
  const verdict = await check(flipped).then(
    ({ valid }) => valid,
    (error: { code: string }) => error.code,
  )
  t.ok(verdict === false || verdict === 'ERR_GK_PROOF_UNREADABLE', `a flipped bit: ${verdict}`)
})

t.test('the run itself', async (t) => {
  const job = {
    ...small,
    shares: 5,
    target: targetFor(0.25),
    challenge: new Uint8Array(32).fill(3),
    publicKey: key.publicKey,
  }
  const found: string[] = []
  let tiles = 0
  const collect = (nonces: BigUint64Array, bi: Uint32Array, bj: Uint32Array, count: number) => {
    for (const [i, nonce] of nonces.entries()) found.push(`${nonce} ${bi[i]} ${bj[i]}`)
    tiles += count
  }
  const all = await device.matmulPow({ job, firstNonce: 2n ** 64n - 4n, nonceCount: 4 }, collect)
  t.match(all, { nonces: 4, tiles: 64, shares: found.length })
  t.equal(tiles, 64)
  const fromTwo = found.filter((share) => BigInt(share.split(' ')[0] as string) >= 2n ** 64n - 2n)
  found.length = 0
  await device.matmulPow({ job, firstNonce: 2n ** 64n - 2n, nonceCount: 2 }, collect)
  t.same(found, fromTwo, 'shares do not depend on where a run begins')
  found.length = 0
  await device.matmulPow({ job, firstNonce: 2n ** 64n - 4n, nonceStep: 2, nonceCount: 2 }, collect)
  await device.matmulPow({ job, firstNonce: 2n ** 64n - 3n, nonceStep: 2, nonceCount: 2 }, collect)
  t.equal(found.length, all.shares, 'two devices that step over each other share a range')
  const request = { job, firstNonce: 0n, nonceCount: 1 }
  const ignore = () => undefined
  await t.rejects(device.matmulPow({ ...request, firstNonce: 2n ** 64n - 1n, nonceCount: 2 }, ignore), {
    code: 'ERR_GK_INVALID_ARGUMENT',
  })
  for (const wrong of [{ m: 100 }, { k: 128 }, { shares: 2 ** 21 }, { target: new Uint8Array(31) }]) {
    const refused = device.matmulPow({ ...request, job: { ...job, ...wrong } }, ignore)
    await t.rejects(refused, { code: 'ERR_GK_INVALID_ARGUMENT' }, Object.keys(wrong).join())
  }
  const thrown = device.matmulPow({ ...request, nonceCount: 1e9 }, () => {
    throw new RangeError('from the callback')
  })
  await t.rejects(thrown, { message: 'from the callback' })
})

t.test('shares are checked by the addon as in plain JavaScript', async (t) => {
  const native = loadNative()
  for (const profile of ['i8', 'i4'] as const) {
    const job = { ...small, profile, k: 512, shares: 5, target: targetFor(0.25), challenge: new Uint8Array(32).fill(4) }
    // Every tile of two nonces, and some outside of the product.
    const at = Array.from({ length: 36 }, (_, i) => i)
    const request = {
      job: { ...job, publicKey: key.publicKey },
      nonces: BigUint64Array.from(at, (i) => (i < 32 ? BigInt(i >> 4) : 2n ** 64n - 1n)),
      bi: Uint32Array.from(at, (i) => (i < 32 ? (i >> 2) & 3 : 3 + (i & 1))),
      bj: Uint32Array.from(at, (i) => (i < 32 ? i & 3 : 2 + (i & 2))),
    }
    const want = await checkSharesHere(request)
    t.ok(want.includes(0) && want.includes(1))
    for (const threads of [1, 3])
      t.same(await native.checkShares({ ...request, threads }), want, `${profile}, ${threads}`)
    const stopped = native.checkShares(request, undefined, AbortSignal.abort())
    await t.rejects(stopped, { code: 'ERR_GK_CANCELLED' })
    await t.rejects(native.checkShares({ ...request, bi: new Uint32Array(3) }), { code: 'ERR_GK_INVALID_ARGUMENT' })
    const wrong = native.checkShares({ ...request, job: { ...request.job, k: 100 } })
    await t.rejects(wrong, { code: 'ERR_GK_INVALID_ARGUMENT' })
  }
})

t.test('several devices at once', async (t) => {
  // Alike, so that of 30 shares each finds one, but for once in half a billion times.
  const pair = [await openDevice({ threads: 1 }), await openDevice({ threads: 1 })]
  const both = await proveThroughput({ ...small, device: pair, key, seconds: 0.2, shares: 30 })
  for (const one of pair) await one.close()
  const { statement, environment } = both.payload
  t.equal(environment.device, 'cpu:0 + cpu:0')
  t.equal(both.measured.plausible, true)
  t.equal(new Set(statement.nonces.map((nonce) => nonce % 2n)).size, 2, 'both found some')
  t.match(await check(both.bytes), { valid: true, recomputation: { computed: 30 } })
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 300)
  const endless = { ...small, device: [device, device], key, seconds: 600, signal: stop.signal }
  await t.rejects(proveThroughput(endless), { code: 'ERR_GK_CANCELLED' })
})

t.test('a run ends inside of a nonce', async (t) => {
  // 65 536 tiles of 16 M products each: minutes for a CPU.
  const job = { profile: 'i8', m: 16384, n: 16384, k: 4096, shares: 5, challenge: new Uint8Array(32) } as const
  const request = { ...job, target: targetFor(0.25), publicKey: key.publicKey }
  const stop = new AbortController()
  let reports = 0
  const run = device.matmulPow(
    { job: request, firstNonce: 0n, nonceCount: 1 },
    () => {
      if (++reports === 2) stop.abort()
    },
    stop.signal,
  )
  await t.rejects(run, { code: 'ERR_GK_CANCELLED' })
  const ended = await device.matmulPow({ job: request, firstNonce: 0n, nonceCount: 1, stopShares: 1 }, () => undefined)
  t.match(ended, { nonces: 0 })
  t.ok(ended.tiles < 65536 && ended.shares >= 1)
})

t.test('an alarm while the job runs', async (t) => {
  const fake = {
    ...device,
    id: 'fake:0',
    report: () => device.report(),
    backend: device.backend,
    telemetry: async () => Promise.reject(new Error('none')),
    // Computes what it is asked for, and claims a hundred times as many tiles.
    matmulPow: (request: MatmulPowRunRequest, onShares: OnShares, signal?: AbortSignal) =>
      device.matmulPow(request, (n, bi, bj, tiles) => onShares(n, bi, bj, tiles * 100), signal),
  } as unknown as NativeDevice
  const alarms: string[] = []
  const onAlarm = (sentence: string) => alarms.push(sentence)
  const proof = await proveThroughput({ ...small, device: fake, key, seconds: 0.3, shares: 60, onAlarm })
  t.equal(alarms.length, 1)
  t.match(alarms[0], /which chance does not explain/)
  t.equal(proof.measured.plausible, false)
  alarms.length = 0
  await proveThroughput({ ...small, device, key, seconds: 0.3, shares: 60, onAlarm })
  t.same(alarms, [])
  // Reports without a share are what long jobs begin with.
  const rare = {
    ...fake,
    matmulPow: (request: MatmulPowRunRequest, onShares: OnShares, signal?: AbortSignal) => {
      for (const tiles of [0, 1]) onShares(new BigUint64Array(), new Uint32Array(), new Uint32Array(), tiles)
      return device.matmulPow(request, onShares, signal)
    },
  } as unknown as NativeDevice
  await proveThroughput({ ...small, device: rare, key, seconds: 0.3, shares: 60, onAlarm })
  t.same(alarms, [])
})

t.test('by command', async (t) => {
  const folder = t.testdir({})
  const file = (name: string) => join(folder, name)
  await writeKeyFile(file('key'), key)
  const run = async (argv: string[], signal?: AbortSignal) => {
    const io = testIo(signal ? { signal } : {})
    return { code: await main(argv, io), out: io.outText(), err: io.errText() }
  }
  const size = ['--m', '256', '--n', '256', '--k', '256']
  const words = ['prove', 'throughput', '--key', file('key'), ...size]
  const challenge = '5c'.repeat(32)
  const given = ['--challenge', challenge, '--profile', 'i4', '--seconds', '0.05', '--shares', '6']
  const proved = await run([...words, ...given, '--out', file('a.gkp'), '--json'])
  t.equal(proved.code, 0, proved.err)
  const said = JSON.parse(proved.out)
  t.match(said, {
    file: file('a.gkp'),
    bytes: statSync(file('a.gkp')).size,
    public_key: publicKeyHex,
    params: { profile: 'i4', m: 256, n: 256, k: 256, shares: 6 },
    challenge,
    challenge_from: 'given',
    target: /^[0-9a-f]{64}$/,
    measured: { plausible: true },
    time_vouched_by: 'prover',
    energy: { method: 'not available', joules: null },
    backend: { name: 'cpu', sha256: device.backend.sha256 },
  })
  t.ok(said.work.macs_lower_bound < said.work.macs)
  const verified = await run([
    'verify',
    file('a.gkp'),
    '--sample',
    'all',
    '--challenge',
    challenge,
    '--json',
    '--shares',
  ])
  t.equal(verified.code, 0, verified.err)
  const { params, public_key, target, work, shares, valid } = JSON.parse(verified.out)
  t.same(
    { params, public_key, target, work, valid },
    { ...pick(said, 'params', 'public_key', 'target', 'work'), valid: true },
  )
  t.equal(shares.length, 6)
  t.match(await run(['verify', file('a.gkp'), '--challenge', '5d'.repeat(32)]), { code: 1 })

  const own = await run([...words, '--seconds', '0.05', '--out', file('b.gkp')])
  t.match(own, { code: 0, out: /self-chosen: this proves the work, not its speed/ })
  t.match(await run([...words, '--seconds', '0.05', '--out', file('b.gkp')]), { code: 2, err: /ERR_GK_FILE_EXISTS/ })
  const before = readFileSync(file('b.gkp'))
  t.match(await run([...words, '--seconds', '0.05', '--out', file('b.gkp'), '--force']), { code: 0 })
  t.notSame(readFileSync(file('b.gkp')), before, 'another challenge, another proof')
  t.match(await run([...words, '--m', '100', '--out', file('c.gkp')]), {
    code: 2,
    err: /m is 100; expected a multiple of 64/,
  })
  t.match(await run([...words, '--challenge', '5c', '--out', file('c.gkp')]), { code: 2, err: /64 hexadecimal digits/ })

  const stop = new AbortController()
  const endless = run([...words, '--seconds', '3600', '--shares', '1000000', '--out', file('c.gkp')], stop.signal)
  setTimeout(() => stop.abort(), 2500)
  t.match(await endless, { code: 130, out: '' })
  t.equal(existsSync(file('c.gkp')), false)
  t.same(readdirSync(folder).sort(), ['a.gkp', 'b.gkp', 'key'], 'nothing is left behind')
})

function pick(from: Record<string, unknown>, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, from[name]]))
}
