import t from 'tap'
import { publicKeyOf, sign } from '../../lib/chain/keys.ts'
import { type ErrorCode, GonkaError } from '../../lib/errors.ts'
import type { NativeDevice } from '../../lib/native-api.ts'
import { encodePayload, encodeProofFile } from '../../lib/proof/codec.ts'
import type { Payload } from '../../lib/proof/payload.ts'
import { drawSample } from '../../lib/proof/sample.ts'
import { signProof } from '../../lib/proof/sign.ts'
import { type VerifyOptions, verifyProof } from '../../lib/proof/verify.ts'
import { detectionProbability } from '../../lib/protocol/detection.ts'
import { otherPrivateKey, privateKey, publicKeyHex, smallParams, smallPayload, withStatement } from './samples.ts'

t.setTimeout(0)

/** Reaching the device means that nothing was found wrong before computing. */
class ReachedDevice extends Error {}
const offline = {
  device: async (): Promise<NativeDevice> => {
    throw new ReachedDevice()
  },
}

/** Code of the reason for which a file is refused without computing, or "accepted so far". */
async function verdict(
  bytes: Uint8Array,
  options: Partial<VerifyOptions> = {},
): Promise<ErrorCode | 'accepted so far'> {
  try {
    const result = await verifyProof(bytes, { ...offline, ...options })
    if (result.valid || !result.problem) throw new Error('valid without a device')
    return result.problem.code
  } catch (error) {
    if (error instanceof ReachedDevice) return 'accepted so far'
    if (error instanceof GonkaError) return error.code
    throw error
  }
}

/** What a dishonest prover can make: any payload, correctly signed. */
function forge(payload: Payload, key = privateKey): Uint8Array {
  const bytes = encodePayload(payload)
  return encodeProofFile({ payload: bytes, publicKey: publicKeyOf(key), signature: sign(bytes, key) })
}

t.test('an untouched proof reaches the computation', async (t) => {
  t.equal(await verdict(signProof(smallPayload, privateKey)), 'accepted so far')
  t.same(forge(smallPayload), signProof(smallPayload, privateKey))
})

t.test('flipping any byte', async (t) => {
  const bytes = signProof(smallPayload, privateKey)
  const counts: Record<string, number> = {}
  for (let at = 0; at < bytes.length; at++) {
    for (const mask of [0x01, 0x80, 0xff]) {
      const changed = Uint8Array.from(bytes)
      changed[at] = (changed[at] as number) ^ mask
      const code = await verdict(changed)
      counts[code] = (counts[code] ?? 0) + 1
      if (code !== 'ERR_GK_PROOF_SIGNATURE' && code !== 'ERR_GK_PROOF_UNREADABLE')
        t.fail(`byte ${at} ^ ${mask}: ${code}`)
    }
  }
  t.comment(`${bytes.length} bytes, three masks: ${JSON.stringify(counts)}`)
  t.ok((counts.ERR_GK_PROOF_SIGNATURE ?? 0) > bytes.length, 'most flips are found by the signature')
})

t.test('cutting and extending', async (t) => {
  const bytes = signProof(smallPayload, privateKey)
  const wrong: string[] = []
  for (let length = 0; length < bytes.length; length++) {
    const code = await verdict(bytes.subarray(0, length))
    if (code !== 'ERR_GK_PROOF_UNREADABLE') wrong.push(`${length}: ${code}`)
  }
  t.same(wrong, [])
  t.equal(await verdict(Buffer.concat([bytes, Buffer.of(0)])), 'ERR_GK_PROOF_UNREADABLE')
  t.equal(await verdict(Buffer.concat([bytes, bytes])), 'ERR_GK_PROOF_UNREADABLE', 'two proofs in one file')
  t.equal(await verdict(new Uint8Array(41 * 1024 * 1024)), 'ERR_GK_PROOF_UNREADABLE', 'too long')
})

t.test('lies that are correctly signed', async (t) => {
  const cases: [string, Uint8Array, ErrorCode][] = [
    ['a proof of another key, signed by mine', forge(smallPayload, otherPrivateKey), 'ERR_GK_PROOF_KEY'],
    ['the key in upper case', forge(withStatement({ publicKey: publicKeyHex.toUpperCase() })), 'ERR_GK_PROOF_KEY'],
    ['impossible params', forge(withStatement({ params: { ...smallParams, n_heads: 3 } })), 'ERR_GK_PROOF_PARAMS'],
    [
      'params without limits',
      forge(withStatement({ params: { ...smallParams, dim: 2 ** 30 } })),
      'ERR_GK_PROOF_PARAMS',
    ],
    ['no layers', forge(withStatement({ params: { ...smallParams, n_layers: 0 } })), 'ERR_GK_PROOF_PARAMS'],
    [
      'a nonce twice',
      forge(withStatement({ nonces: BigInt64Array.of(300n, 0n, 300n) })),
      'ERR_GK_PROOF_DUPLICATE_NONCE',
    ],
    [
      'a nonce of another node',
      forge(withStatement({ partition: { nodeId: 0n, nodeCount: 2n, groupId: 0n, groupCount: 1n } })),
      'ERR_GK_PROOF_PARTITION',
    ],
    [
      'a nonce of another group',
      forge(withStatement({ partition: { nodeId: 0n, nodeCount: 1n, groupId: 0n, groupCount: 7n } })),
      'ERR_GK_PROOF_PARTITION',
    ],
    [
      'a partition that is none',
      forge(withStatement({ partition: { nodeId: 2n, nodeCount: 2n, groupId: 0n, groupCount: 1n } })),
      'ERR_GK_PROOF_PARTITION',
    ],
    [
      'a nonce above 2^53-1',
      forge(withStatement({ nonces: BigInt64Array.of(0n, 1n, 2n ** 53n) })),
      'ERR_GK_PROOF_ARTIFACT',
    ],
    ['an impossible distance', forge(withStatement({ dist: Float64Array.of(1, 2.1, 1) })), 'ERR_GK_PROOF_ARTIFACT'],
    ['a negative distance', forge(withStatement({ dist: Float64Array.of(1, -1, 1) })), 'ERR_GK_PROOF_ARTIFACT'],
    [
      'a distance that is no number',
      forge(withStatement({ dist: Float64Array.of(1, Number.NaN, 1) })),
      'ERR_GK_PROOF_ARTIFACT',
    ],
    ['a distance at the target', forge(withStatement({ rTarget: 1.41 })), 'ERR_GK_PROOF_ARTIFACT'],
    ['an impossible target', forge(withStatement({ rTarget: Number.POSITIVE_INFINITY })), 'ERR_GK_PROOF_ARTIFACT'],
    [
      'more artifacts than nonces searched',
      forge(withStatement({ rTarget: 1.5, searched: 2n })),
      'ERR_GK_PROOF_ARTIFACT',
    ],
    ['nonces left out without a target', forge(withStatement({ searched: 4n })), 'ERR_GK_PROOF_ARTIFACT'],
    [
      'nothing',
      forge(withStatement({ nonces: new BigInt64Array(), dist: new Float64Array(), searched: 0n })),
      'ERR_GK_PROOF_ARTIFACT',
    ],
  ]
  for (const [name, bytes, code] of cases) t.equal(await verdict(bytes), code, name)
  t.equal(await verdict(forge(withStatement({ rTarget: 1.5, searched: 9n }))), 'accepted so far')
})

t.test('signing refuses what verification would refuse', async (t) => {
  t.throws(() => signProof(smallPayload, otherPrivateKey), { code: 'ERR_GK_PROOF_KEY' })
  t.throws(() => signProof(withStatement({ nonces: BigInt64Array.of(1n, 1n, 2n) }), privateKey), {
    code: 'ERR_GK_PROOF_DUPLICATE_NONCE',
  })
})

t.test('a proof of something else than expected', async (t) => {
  const bytes = signProof(smallPayload, privateKey)
  const expect = { publicKey: publicKeyHex, blockHash: 'a3f1a3f1', params: smallParams }
  t.equal(await verdict(bytes, { expect }), 'accepted so far')
  t.equal(await verdict(bytes, { expect: { publicKey: publicKeyHex.replace(/^../, '00') } }), 'ERR_GK_PROOF_KEY')
  t.equal(await verdict(bytes, { expect: { blockHash: 'a3f1' } }), 'ERR_GK_PROOF_PARAMS')
  for (const change of [{ dim: 128 }, { norm_eps: 1e-6 }, { use_scaled_rope: true }]) {
    t.equal(await verdict(bytes, { expect: { params: { ...smallParams, ...change } } }), 'ERR_GK_PROOF_PARAMS')
  }
})

t.test('samples', async (t) => {
  t.same(drawSample(3, 5), [0, 1, 2])
  t.same(drawSample(0, 5), [])
  // Each of the 10 pairs out of 5 is drawn about 1000 times in 10000; six standard deviations are 180.
  const pairs = new Map<string, number>()
  for (let i = 0; i < 10_000; i++) {
    const pair = drawSample(5, 2).join()
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1)
  }
  t.equal(pairs.size, 10)
  for (const [pair, count] of pairs) t.ok(Math.abs(count - 1000) < 180, `${pair}: ${count}`)

  t.equal(detectionProbability(10, 3, 0), 0)
  t.equal(detectionProbability(10, 8, 3), 1)
  t.ok(Math.abs(detectionProbability(10, 3, 2) - (1 - (8 * 7 * 6) / (10 * 9 * 8))) < 1e-15)
  t.ok(Math.abs(detectionProbability(1e6, 300, 1e4) - (1 - 0.99 ** 300)) < 1e-4)
})
