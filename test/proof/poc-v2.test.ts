// Proofs of PoC v2: made, verified with the model's files, refused for every reason there is.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { keyOf } from '../../lib/chain/key-file.ts'
import { publicKeyOf, sign } from '../../lib/chain/keys.ts'
import { main } from '../../lib/cli.ts'
import { GonkaError } from '../../lib/errors.ts'
import type { NativeDevice } from '../../lib/native-api.ts'
import { decodePayload, decodeProofFile, encodePayload, encodeProofFile } from '../../lib/proof/codec.ts'
import type { Payload, PocV2Statement } from '../../lib/proof/payload.ts'
import { proveV2 } from '../../lib/proof/prove-v2.ts'
import { signProof } from '../../lib/proof/sign.ts'
import { environmentProblem, statementProblem } from '../../lib/proof/statement.ts'
import { testIo } from '../io.ts'
import { privateKey, publicKeyHex, smallPocV2 } from './samples.ts'

const withChange = (change: Partial<PocV2Statement>) => ({
  ...smallPocV2,
  statement: { ...smallPocV2.statement, ...change },
})

t.test('a payload survives its encoding, and every change of a byte is noticed', async (t) => {
  t.same(decodePayload(encodePayload(smallPocV2)), smallPocV2)
  t.equal(statementProblem(smallPocV2.statement, publicKeyHex), undefined)
  const short = (kDim: number) =>
    environmentProblem({ ...withChange({ kDim }), environment: { ...smallPocV2.environment, compute: 'bf16' } })
  t.equal(short(12), undefined)
  t.match(short(11), { code: 'ERR_GK_PROOF_PARAMS', message: /k_dim 11 prove nothing in bf16/ })
  t.match(environmentProblem(withChange({ kDim: 2 })), { code: 'ERR_GK_PROOF_PARAMS' })
  t.match(environmentProblem({ ...smallPocV2, environment: { ...smallPocV2.environment, compute: 'i32' } }), {
    code: 'ERR_GK_PROOF_PARAMS',
  })
  const bytes = signProof(smallPocV2, privateKey)
  for (let at = 0; at < bytes.length; at++) {
    const changed = Uint8Array.from(bytes)
    changed[at] = (changed[at] as number) ^ 1
    try {
      const file = decodeProofFile(changed)
      t.notSame(file, decodeProofFile(bytes), `byte ${at}`)
    } catch (error) {
      if (!(error instanceof GonkaError)) throw error
    }
  }
})

t.test('what a statement may not say', async (t) => {
  const cases: [Partial<PocV2Statement>, string][] = [
    [{ publicKey: `${publicKeyHex.slice(0, -1)}0` }, 'ERR_GK_PROOF_KEY'],
    [{ seqLen: 0 }, 'ERR_GK_PROOF_PARAMS'],
    [{ kDim: 5000 }, 'ERR_GK_PROOF_PARAMS'],
    [{ searched: 1n }, 'ERR_GK_PROOF_ARTIFACT'],
    [{ nonces: BigInt64Array.of(), vectors: new Uint8Array() }, 'ERR_GK_PROOF_ARTIFACT'],
    [{ nonces: BigInt64Array.of(0n, 2n ** 53n) }, 'ERR_GK_PROOF_ARTIFACT'],
    [{ nonces: BigInt64Array.of(5n, 5n) }, 'ERR_GK_PROOF_DUPLICATE_NONCE'],
    [{ vectors: smallPocV2.statement.vectors.subarray(8) }, 'ERR_GK_PROOF_ARTIFACT'],
    [{ vectors: smallPocV2.statement.vectors.map((byte, i) => (i === 1 ? 0x7e : byte)) }, 'ERR_GK_PROOF_ARTIFACT'],
    [{ vectors: smallPocV2.statement.vectors.map((byte, i) => (i === 1 ? 0x30 : byte)) }, 'ERR_GK_PROOF_ARTIFACT'],
  ]
  for (const [change, code] of cases) {
    t.match(statementProblem(withChange(change).statement, publicKeyHex), { code }, Object.keys(change).join())
  }
  t.throws(() => decodePayload(encodePayload(withChange({ kDim: 3 }))), { code: 'ERR_GK_PROOF_UNREADABLE' })
  t.throws(() => decodePayload(encodePayload(withChange({ modelSha256: new Uint8Array(31).fill(1) }))), {
    code: 'ERR_GK_PROOF_UNREADABLE',
  })
})

t.test('a proof that nobody could read is refused before the work', async (t) => {
  const untouched = {} as NativeDevice
  const native = { modelDigest: () => Promise.reject(new Error('the work has begun')) }
  const round = { key: keyOf(privateKey), native, device: untouched, model: 'm', blockHash: 'x', seqLen: 8 }
  const made = (nonces: number, kDim: number) =>
    proveV2({ ...round, kDim, rng: 'murmur', nonces: new BigInt64Array(nonces) })
  await t.rejects(made(1_400_000, 12), { code: 'ERR_GK_NONCES', message: /at most 1310208 artifacts of k_dim 12/ })
  await t.rejects(made(5200, 4096), { code: 'ERR_GK_NONCES' })
  await t.rejects(made(1_310_208, 12), { message: 'the work has begun' })
  const many = { ...smallPocV2.statement, searched: 5200n, kDim: 4096 }
  const unit = new Uint8Array(8192)
  unit[1] = 0x3c
  const vectors = new Uint8Array(5200 * 8192)
  for (let i = 0; i < 5200; i++) vectors.set(unit, i * 8192)
  const nonces = BigInt64Array.from({ length: 5200 }, (_, i) => BigInt(i))
  t.throws(() => signProof({ ...smallPocV2, statement: { ...many, nonces, vectors } }, privateKey), {
    code: 'ERR_GK_NONCES',
    message: /at most 41943040 are accepted/,
  })
})

t.test('prove v2, verify with and without the model', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gonka-proof-v2-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = (name: string) => join(directory, name)
  const run = async (...argv: string[]) => {
    const io = testIo()
    const code = await main(argv, io)
    return { code, out: io.outText(), err: io.errText() }
  }
  for (const [name, seed] of [
    ['model', '1'],
    ['other', '2'],
  ] as const) {
    t.equal((await run('model', 'make-tiny', path(name), '--family', 'qwen2', '--seed', seed)).code, 0)
  }
  t.equal((await run('keys', 'create', '--key', path('key'))).code, 0)
  for (const compute of [[], ['--compute', 'f32']]) {
    const made = await run(
      ...['prove', 'v2', '--key', path('key'), '--out', path('proof.gkp'), '--model', path('model'), '--force'],
      ...['--block-hash', 'a3f1', '--nonces', '0-9', '--seq-len', '12', '--json', ...compute],
    )
    t.equal(made.code, 0, made.err)
    const digest = (await run('model', 'digest', path('model'))).out.trim()
    t.match(JSON.parse(made.out), { artifacts: 10, searched: 10, model_digest: digest })

    const good = await run('verify', path('proof.gkp'), '--model', path('model'), '--json')
    t.equal(good.code, 0, good.out)
    t.match(JSON.parse(good.out), {
      valid: true,
      statement: { kind: 'poc_v2', model_digest: digest, architecture: 'Qwen2ForCausalLM' },
      recomputed: { kind: 'poc_v2', computed: 10, mismatches: 0, max_difference: 0 },
    })
    t.match((await run('verify', path('proof.gkp'), '--model', path('model'))).out, /10 of 10 vectors .*\n.*\n.*VALID/)

    const without = await run('verify', path('proof.gkp'))
    t.equal(without.code, 1)
    t.match(without.out, new RegExp(`ERR_GK_PROOF_MODEL: .*Qwen2ForCausalLM model with digest ${digest}.*--model`))
    const other = await run('verify', path('proof.gkp'), '--model', path('other'))
    t.equal(other.code, 1)
    t.match(other.out, /ERR_GK_PROOF_MODEL: .*other holds the model with digest/)
    t.equal((await run('verify', path('proof.gkp'), '--model', path('nowhere'))).code, 2)
    t.equal((await run('verify', path('proof.gkp'), '--model', path('model'), '--challenge', 'ab')).code, 1)

    // One vector put in another's place, signed by a key of the forger's: the statement then names that key.
    const honest = decodePayload(decodeProofFile(readFileSync(path('proof.gkp'))).payload) as Payload<PocV2Statement>
    const vectors = Uint8Array.from(honest.statement.vectors)
    vectors.copyWithin(24, 0, 24)
    const bytes = encodePayload({ ...honest, statement: { ...honest.statement, vectors, publicKey: publicKeyHex } })
    const forged = encodeProofFile({
      payload: bytes,
      publicKey: publicKeyOf(privateKey),
      signature: sign(bytes, privateKey),
    })
    writeFileSync(path('forged.gkp'), forged)
    const caught = await run('verify', path('forged.gkp'), '--model', path('model'), '--sample', 'all')
    t.equal(caught.code, 1)
    t.match(caught.out, /ERR_GK_PROOF_DISTANCE: \d+ of 10 recomputed vectors lie further/)
  }
})
