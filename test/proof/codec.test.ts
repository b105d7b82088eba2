import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import t from 'tap'
import { GonkaError } from '../../lib/errors.ts'
import { decodePayload, decodeProofFile, encodePayload, encodeProofFile } from '../../lib/proof/codec.ts'
import type { MatmulPowStatement, Payload, PocV1Statement } from '../../lib/proof/payload.ts'
import { smallMatmulPow, smallPayload, withStatement } from './samples.ts'

t.setTimeout(0)

const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31)
t.comment(`TEST_SEED=${seed}`)

const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const anyDouble = fc.double({ noDefaultInfinity: true, noNaN: true }).filter((x) => !Object.is(x, -0))
const positive = fc.double({ min: 0, noDefaultInfinity: true, noNaN: true }).filter((x) => !Object.is(x, -0))

const anyMatmulPow: fc.Arbitrary<MatmulPowStatement> = fc
  .record({
    kind: fc.constant('matmul_pow' as const),
    profile: fc.constantFrom('i8', 'i4'),
    m: u32,
    n: u32,
    k: u32,
    shares: u32,
    target: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    challenge: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    publicKey: fc.uint8Array({ minLength: 33, maxLength: 33 }),
    list: fc.array(fc.tuple(u64, u32, u32), { maxLength: 20 }),
  })
  .map(({ list, ...rest }) => ({
    ...rest,
    nonces: BigUint64Array.from(list, ([nonce]) => nonce),
    bi: Uint32Array.from(list, ([, bi]) => bi),
    bj: Uint32Array.from(list, ([, , bj]) => bj),
  }))

const anyPocV1: fc.Arbitrary<PocV1Statement> = fc
  .record({
    kind: fc.constant('poc_v1' as const),
    params: fc.record({
      dim: u32,
      n_layers: u32,
      n_heads: u32,
      n_kv_heads: u32,
      vocab_size: u32,
      ffn_dim_multiplier: anyDouble,
      multiple_of: u32,
      norm_eps: anyDouble,
      rope_theta: anyDouble,
      use_scaled_rope: fc.boolean(),
      seq_len: u32,
    }),
    blockHash: text,
    publicKey: text,
    partition: fc.record({ nodeId: u64, nodeCount: u64, groupId: u64, groupCount: u64 }),
    rTarget: fc.option(anyDouble, { nil: undefined }),
    searched: u64,
    artifacts: fc.array(fc.tuple(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), anyDouble), { maxLength: 20 }),
  })
  .map(({ artifacts, ...rest }) => ({
    ...rest,
    nonces: BigInt64Array.from(artifacts, ([nonce]) => nonce),
    dist: Float64Array.from(artifacts, ([, dist]) => dist),
  }))

const anyPayload: fc.Arbitrary<Payload> = fc.record({
  statement: fc.oneof(anyPocV1, anyMatmulPow),
  environment: fc.record({
    packageVersion: text,
    platform: text,
    backend: text,
    backendVersion: text,
    backendSha256: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    device: text,
    deviceName: text,
    arch: text,
    driver: text,
    implementation: text,
    threads: u32,
    compute: fc.constantFrom('f32', 'f16', 'i32'),
  }),
  timing: fc.record({ startedUnixMs: u64, elapsedNs: u64, initNs: u64, vouchedBy: fc.constant('prover' as const) }),
  energy: fc.oneof(
    fc.constant({ method: 'not available', joules: undefined }),
    fc.record({ method: fc.constant('powercap'), joules: positive }),
  ),
})

t.test('decode is the inverse of encode', async (t) => {
  fc.assert(
    fc.property(anyPayload, (payload) => {
      const again = decodePayload(encodePayload(payload))
      // A clone, because the generator also makes objects without prototype.
      return isDeepStrictEqual(structuredClone(again), structuredClone(payload))
    }),
    { seed, numRuns: 300 },
  )
  const file = {
    payload: encodePayload(smallPayload),
    publicKey: new Uint8Array(33).fill(2),
    signature: new Uint8Array(64),
  }
  t.same(decodeProofFile(encodeProofFile(file)), file, 'the file around it')
})

t.test('bytes are refused or mean one thing only', async (t) => {
  const bytes = encodePayload(smallPayload)
  let read = 0
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = Uint8Array.from(bytes)
      changed[at] = (changed[at] as number) ^ mask
      try {
        const payload = decodePayload(changed)
        read++
        return Buffer.compare(encodePayload(payload), changed) === 0
      } catch (error) {
        return error instanceof GonkaError && error.code === 'ERR_GK_PROOF_UNREADABLE'
      }
    }),
    { seed, numRuns: 2000 },
  )
  t.ok(read > 0, 'some changes are readable, as the signature and not the form protects the contents')
})

/** One field as bytes: tag and value. */
const varintField = (field: number, value: number): Uint8Array =>
  protobuf.Writer.create()
    .uint32(field << 3)
    .uint32(value)
    .finish()
const concat = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts))

t.test('other forms of the same message are refused', async (t) => {
  const bytes = encodePayload(smallPayload)
  const refused: [string, Uint8Array][] = [
    ['empty', new Uint8Array()],
    ['an unknown field', concat(bytes, varintField(100, 1))],
    ['a field given twice', concat(bytes, varintField(1, 1))],
    ['two statements', concat(bytes, encodePayload(smallMatmulPow))],
    ['a field out of order', concat(bytes.subarray(2), bytes.subarray(0, 2))],
    ['an overlong varint', concat(Uint8Array.of(8, 0x81, 0), bytes.subarray(2))],
    ['another version', concat(varintField(1, 2), bytes.subarray(2))],
    ['no version', bytes.subarray(2)],
    ['a version of zero', concat(varintField(1, 0), bytes.subarray(2))],
    ['one byte more', concat(bytes, Uint8Array.of(0))],
  ]
  for (let length = 0; length < bytes.length; length++) refused.push([`cut to ${length}`, bytes.subarray(0, length)])
  for (const [name, form] of refused) {
    if (name.startsWith('cut')) {
      // One assertion for hundreds of lengths would hide which; one per length would hide everything else.
      try {
        decodePayload(form)
        t.fail(name)
      } catch (error) {
        if ((error as GonkaError).code !== 'ERR_GK_PROOF_UNREADABLE') t.fail(name, { error })
      }
      continue
    }
    t.throws(() => decodePayload(form), { code: 'ERR_GK_PROOF_UNREADABLE' }, name)
  }
})

t.test('what no payload may hold', async (t) => {
  const refused: [string, Payload][] = [
    ['fewer distances', withStatement({ dist: Float64Array.of(1, 2) })],
    ['fewer nonces', withStatement({ nonces: BigInt64Array.of(1n) })],
    ['a negative nonce', withStatement({ nonces: BigInt64Array.of(0n, 1n, -1n) })],
    ['a long block hash', withStatement({ blockHash: 'x'.repeat(1025) })],
    ['a long key', withStatement({ publicKey: 'x'.repeat(513) })],
    [
      'a short digest',
      { ...smallPayload, environment: { ...smallPayload.environment, backendSha256: new Uint8Array(31) } },
    ],
    ['no digest', { ...smallPayload, environment: { ...smallPayload.environment, backendSha256: new Uint8Array() } }],
    [
      'an unknown arithmetic',
      { ...smallPayload, environment: { ...smallPayload.environment, compute: 'f8' as 'f32' } },
    ],
    ['an unknown voucher', { ...smallPayload, timing: { ...smallPayload.timing, vouchedBy: 'god' as 'prover' } }],
    ['joules without method', { ...smallPayload, energy: { method: 'not available', joules: 3 } }],
    ['a method without joules', { ...smallPayload, energy: { method: 'powercap', joules: undefined } }],
    ['no method', { ...smallPayload, energy: { method: '', joules: 3 } }],
    ['negative joules', { ...smallPayload, energy: { method: 'powercap', joules: -3 } }],
    ['infinite joules', { ...smallPayload, energy: { method: 'powercap', joules: Number.POSITIVE_INFINITY } }],
  ]
  for (const [name, payload] of refused) {
    t.throws(() => decodePayload(encodePayload(payload)), { code: 'ERR_GK_PROOF_UNREADABLE' }, name)
  }
})
