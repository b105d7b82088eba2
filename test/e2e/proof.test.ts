import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { keyOf, writeKeyFile } from '../../lib/chain/key-file.ts'
import { publicKeyOf, sign } from '../../lib/chain/keys.ts'
import { main } from '../../lib/cli.ts'
import {
  inPartition,
  openDevice,
  type Payload,
  type PocV1Statement,
  prove,
  verify,
  wholePartition,
} from '../../lib/index.ts'
import { encodePayload, encodeProofFile } from '../../lib/proof/codec.ts'
import { testIo } from '../io.ts'
import { otherPrivateKey, privateKey, publicKeyHex, smallParams } from '../proof/samples.ts'

t.setTimeout(0)

const device = await openDevice()
t.teardown(() => device.close())
const key = keyOf(privateKey)
const nonces = BigInt64Array.from({ length: 40 }, (_, i) => BigInt(3 * i + 1))
const partition = { ...wholePartition, nodeId: 1n, nodeCount: 3n }
const honest = await prove({ device, key, params: smallParams, blockHash: 'a3f1', nonces, partition })
const onDevice = { device: async () => device }

/** A payload of any content with a correct signature: what a dishonest prover can make. */
function forge(change: (payload: Payload<PocV1Statement>) => Payload): Uint8Array {
  const payload = encodePayload(change(honest.payload))
  return encodeProofFile({ payload, publicKey: publicKeyOf(privateKey), signature: sign(payload, privateKey) })
}
const withStatement = (change: Partial<PocV1Statement>) => (payload: Payload<PocV1Statement>) => ({
  ...payload,
  statement: { ...payload.statement, ...change },
})

t.test('an honest proof', async (t) => {
  const result = await verify(honest.bytes, { ...onDevice, sample: 'all' })
  t.match(result, { valid: true, problem: undefined, address: key.address })
  t.match(result.recomputation, { computed: 40, mismatches: 0, tolerance: 1e-6 })
  const { environment, timing, statement } = result.payload as Payload<PocV1Statement>
  t.match(environment, {
    backend: 'cpu',
    device: 'cpu:0',
    compute: 'f32',
    platform: `${process.platform}-${process.arch}`,
  })
  t.equal(Buffer.from(environment.backendSha256).toString('hex'), device.backend.sha256)
  t.ok(timing.elapsedNs > 0n && Math.abs(Number(timing.startedUnixMs) - Date.now()) < 3_600_000)
  t.ok(statement.nonces.every((nonce) => inPartition(nonce, partition)))
  const few = await verify(honest.bytes, { ...onDevice, sample: 5 })
  t.match(few, { valid: true, recomputation: { computed: 5 } })
  await t.rejects(verify(honest.bytes, { ...onDevice, sample: 0 }), { code: 'ERR_GK_INVALID_ARGUMENT' })
})

t.test('lies that only computing finds', async (t) => {
  const dist = Float64Array.from(honest.payload.statement.dist)
  dist[17] = (dist[17] as number) + 2e-6
  const cases: [string, Uint8Array][] = [
    ['one distance', forge(withStatement({ dist }))],
    ['another block hash', forge(withStatement({ blockHash: 'a3f2' }))],
    ['wrong params: vocabulary', forge(withStatement({ params: { ...smallParams, vocab_size: 129 } }))],
    ['wrong params: width', forge(withStatement({ params: { ...smallParams, dim: 128 } }))],
    ['distances of other nonces', forge(withStatement({ dist: honest.payload.statement.dist.toReversed() }))],
  ]
  for (const [name, bytes] of cases) {
    const { valid, problem, recomputation } = await verify(bytes, { ...onDevice, sample: 'all' })
    t.equal(valid, false, name)
    t.match(problem, { code: 'ERR_GK_PROOF_DISTANCE', message: /differ from the claim/ })
    t.ok((recomputation?.mismatches ?? 0) >= 1, `${recomputation?.mismatches} mismatches`)
  }
  const barely = forge(withStatement({ dist: dist.with(17, (dist[17] as number) - 1.5e-6) }))
  t.match(await verify(barely, { ...onDevice, sample: 'all' }), { valid: true }, 'half of the tolerance is no lie')
})

t.test('a sample finds a lie as often as it says', async (t) => {
  const dist = honest.payload.statement.dist.map((x, i) => (i < 4 ? x + 0.01 : x))
  const bytes = forge(withStatement({ dist }))
  let found = 0
  for (let i = 0; i < 100; i++) if (!(await verify(bytes, { ...onDevice, sample: 8 })).valid) found++
  // 4 of 40 are wrong, 8 are looked at: 1 - C(36,8)/C(40,8) = 0.607; five and a half standard deviations are 27.
  t.ok(Math.abs(found - 60.7) < 27, `${found} of 100 found`)
})

t.test('proving refuses', async (t) => {
  const round = { device, key, params: smallParams, blockHash: 'x', nonces: BigInt64Array.of(1n, 2n) }
  await t.rejects(prove({ ...round, partition }), {
    code: 'ERR_GK_NONCES',
    message: /nonce 2 does not belong to node 1 of 3/,
  })
  await t.rejects(prove({ ...round, nonces: new BigInt64Array() }), { code: 'ERR_GK_INVALID_ARGUMENT' })
  await t.rejects(prove({ ...round, signal: AbortSignal.abort() }), { code: 'ERR_GK_CANCELLED' })
  await t.rejects(prove({ ...round, rTarget: 1e-9 }), { code: 'ERR_GK_PROOF_ARTIFACT' }, 'nothing found is no proof')
})

t.test('by command', async (t) => {
  const folder = t.testdir({ 'params.json': JSON.stringify(smallParams) })
  const file = (name: string) => join(folder, name)
  await writeKeyFile(file('key'), key)
  await writeKeyFile(file('other'), keyOf(otherPrivateKey))
  const run = async (...argv: string[]) => {
    const io = testIo()
    return { code: await main(argv, io), out: io.outText(), err: io.errText() }
  }
  const round = ['--params', file('params.json'), '--block-hash', 'a3f1', '--key', file('key')]
  const proved = await run(
    'prove',
    'v1',
    ...round,
    '--count',
    '20',
    '--node-id',
    '1',
    '--node-count',
    '3',
    '--out',
    file('p.gkp'),
    '--json',
  )
  t.equal(proved.code, 0, proved.err)
  t.match(JSON.parse(proved.out), {
    file: file('p.gkp'),
    bytes: statSync(file('p.gkp')).size,
    public_key: publicKeyHex,
    address: key.address,
    artifacts: 20,
    searched: 20,
    nonces_per_second: Number,
  })
  t.match(await run('prove', 'v1', ...round, '--count', '2', '--out', file('p.gkp')), {
    code: 2,
    err: /ERR_GK_FILE_EXISTS/,
  })
  t.match(await run('prove', 'v1', ...round, '--out', file('q.gkp')), { code: 2, err: /either --nonces or --count/ })
  t.match(await run('prove', 'v1', ...round, '--nonces', '1,1', '--out', file('q.gkp')), {
    code: 2,
    err: /listed twice/,
  })
  const stranger = await run('prove', 'v1', ...round, '--nonces', '5', '--public-key', 'ab', '--out', file('q.gkp'))
  t.match(stranger, { code: 2, err: /--public-key is not the key of/ })

  const verified = await run('verify', file('p.gkp'), '--sample', 'all', '--json')
  t.equal(verified.code, 0)
  t.match(JSON.parse(verified.out), {
    file: file('p.gkp'),
    valid: true,
    reason: null,
    signer: { public_key: publicKeyHex, address: key.address },
    statement: {
      kind: 'poc_v1',
      params: smallParams,
      params_name: null,
      block_hash: 'a3f1',
      partition: { node_id: 1, node_count: 3, group_id: 0, group_count: 1 },
      r_target: null,
      searched: 20,
      artifacts: 20,
    },
    timing: { vouched_by: 'prover' },
    energy: { method: 'not available', joules: null },
    recomputed: { computed: 20, of: 20, mismatches: 0, detects_1_percent: 1 },
  })
  const text = await run('verify', file('p.gkp'), '--sample', '3')
  t.match(text, { code: 0, out: /recomputed {3}3 of 20 distances/ })
  t.match(text.out, new RegExp(`signed by {4}${key.address}`))
  t.match(text.out, /p\.gkp: VALID\n$/)

  const expectations: [string[], number, RegExp][] = [
    [['--public-key', publicKeyHex.toUpperCase(), '--block-hash', 'a3f1', '--params', file('params.json')], 0, /VALID/],
    [['--public-key', `03${'0'.repeat(64)}`], 1, /NOT VALID: ERR_GK_PROOF_KEY/],
    [['--block-hash', 'other'], 1, /NOT VALID: ERR_GK_PROOF_PARAMS: block hash/],
    [['--params', 'default'], 1, /NOT VALID: ERR_GK_PROOF_PARAMS: dim is 64; expected 2048/],
  ]
  for (const [words, code, out] of expectations) t.match(await run('verify', file('p.gkp'), ...words), { code, out })

  const bytes = readFileSync(file('p.gkp'))
  writeFileSync(file('tampered'), bytes.with(bytes.length >> 1, (bytes[bytes.length >> 1] as number) ^ 4))
  t.match(await run('verify', file('tampered'), '--json'), { code: 1, out: /"code":"ERR_GK_PROOF_SIGNATURE"/ })
  writeFileSync(file('cut'), bytes.subarray(0, -1))
  t.match(await run('verify', file('cut')), { code: 2, out: '', err: /ERR_GK_PROOF_UNREADABLE/ })
  t.match(await run('verify', file('nothing')), { code: 2, err: /ERR_GK_FILE/ })
  t.match(await run('verify', file('params.json')), { code: 2, err: /ERR_GK_PROOF_UNREADABLE/ })
  t.match(await run('verify', file('p.gkp'), '--sample', 'some'), { code: 2, err: /Expected a number or "all"/ })
})

t.test('demo', async (t) => {
  const params = join(t.testdir({ 'params.json': JSON.stringify(smallParams) }), 'params.json')
  const io = testIo()
  t.equal(await main(['demo', '--params', params, '--nonces', '20', '--json'], io), 0, io.errText())
  t.match(JSON.parse(io.outText()), {
    device: 'cpu:0',
    selftest: { failed: 0 },
    nonces: 20,
    verified: true,
    recomputed: 16,
    tampered_rejected: true,
  })
})
