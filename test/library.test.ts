// The package as its users import it: PoC v2 from a model to a proof of inclusion, with the exported functions alone.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  artifactTree,
  compareFiles,
  defaultStatTest,
  formatInclusion,
  inclusionProblem,
  keyOf,
  makeTinyModel,
  modelDigest,
  openDevice,
  parseArtifactFile,
  parseInclusion,
  pocV2,
  privateKeyFromMnemonic,
  proveArtifact,
  proveV2,
  verify,
} from '../lib/index.ts'

t.setTimeout(0)
const directory = mkdtempSync(join(tmpdir(), 'gonka-library-'))
t.teardown(() => rmSync(directory, { recursive: true }))

t.test('PoC v2: model, round, drift, commitment, signed proof', async (t) => {
  await makeTinyModel({ directory, family: 'qwen3', seed: 1 })
  const device = await openDevice()
  t.teardown(() => device.close())
  const nonces = BigInt64Array.of(0n, 5n, 20_000_000n)
  const round = { device, model: directory, blockHash: '9F2C', publicKey: '02a1', nonces, seqLen: 16 }
  const fileOf = async (options: { compute?: 'f32' }) => {
    const artifacts: { nonce: number; vector_b64: string }[] = []
    for await (const batch of pocV2({ ...round, ...options })) {
      for (const { nonce, vector } of batch.artifacts) {
        artifacts.push({ nonce, vector_b64: Buffer.from(vector).toString('base64') })
      }
    }
    return parseArtifactFile({ artifacts }, 'round')
  }
  const own = await fileOf({})
  t.same([...own.artifacts.keys()], [0, 5, 20_000_000])
  const drift = compareFiles(own, await fileOf({ compute: 'f32' }), [defaultStatTest])
  t.ok(drift.distances.every((distance) => distance > 0 && distance < 0.02))
  t.equal(drift.verdicts[0]?.fraudDetected, false)

  const inclusion = proveArtifact(artifactTree(own, 'round'), 5)
  if (inclusion === undefined) throw new Error('no proof of nonce 5')
  const read = parseInclusion(JSON.parse(JSON.stringify(formatInclusion(inclusion))), 'proof')
  t.equal(inclusionProblem(read, { count: 3 }), undefined)
  t.match(inclusionProblem(read, { root: '00'.repeat(32) }), /the proof is of root/)

  const mnemonic = 'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about'
  const key = keyOf(await privateKeyFromMnemonic(mnemonic))
  const proof = await proveV2({ ...round, key, kDim: 12, rng: 'murmur' })
  const files = { directory, digest: (path: string) => modelDigest(path) }
  const whole = { sample: 'all' as const, device: async () => device }
  const good = await verify(proof.bytes, { ...whole, model: files })
  t.equal(good.valid, true, good.problem?.message ?? '')
  const without = await verify(proof.bytes, whole)
  t.equal(without.valid, false)
  t.match(without.problem?.message, new RegExp(await modelDigest(directory)))
})

t.test('an aborted round ends, and so does one whose reader left', async (t) => {
  const device = await openDevice()
  t.teardown(() => device.close())
  const nonces = BigInt64Array.from({ length: 100_000 }, (_, i) => BigInt(i))
  const round = { device, model: directory, blockHash: 'a', publicKey: 'b', nonces, seqLen: 64, batch: 1 }
  await t.rejects(pocV2({ ...round, signal: AbortSignal.abort() }).next(), { code: 'ERR_GK_CANCELLED' })
  for await (const { computed } of pocV2(round)) {
    t.equal(computed, 1)
    break
  }
})
