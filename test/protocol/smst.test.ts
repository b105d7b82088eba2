import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { goRand } from '../../lib/protocol/go-rand.ts'
import { sampleLeafIndices, sampleNonceIndicesV1 } from '../../lib/protocol/sampling.ts'
import {
  emptySmst,
  type Smst,
  smstIndexOf,
  smstInsert,
  smstProve,
  smstRoot,
  smstVerify,
} from '../../lib/protocol/smst.ts'

interface ProofVector {
  leaf_index: number
  nonce_value: number
  proof_len: number
  sha256_of_concatenated_proof: string
  vector_bytes: string
  proof?: string[]
}
interface Vectors {
  smst: { cases: { nonces?: number[]; count: number; depth: number; root_hex: string; proofs: ProofVector[] | null }[] }
  go_math_rand_intn: { seed: number; intn_1000003: number[] }[]
  leaf_sampling_v2: {
    block_hash: string
    count: number
    height: number
    indices: number[]
    model_id: string
    sample_size: number
    validator_pubkey: string
  }[]
  v1_sampling_perm: { first: number[]; n: number; seed_string: string }
}

const text = readFileSync('test/golden/protocol/vectors_smst_sampling.json', 'utf8')
const vectors = JSON.parse(text) as Vectors
const int63 = [...(/"go_math_rand_seed1_int63":\s*\[([^\]]*)\]/.exec(text)?.[1] ?? '').matchAll(/\d+/g)].map((m) =>
  BigInt(m[0]),
)

function vectorOf(nonce: number): Uint8Array {
  return createHash('sha256').update(`vec:${nonce}`).digest().subarray(0, 24)
}

function build(nonces: readonly number[]): Smst {
  return nonces.reduce((tree: Smst, nonce) => smstInsert(tree, nonce, vectorOf(nonce)) as Smst, emptySmst)
}

function concatHash(proof: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const element of proof) hash.update(element)
  return hash.digest('hex')
}

t.test('published trees: root, depth and every proof', async (t) => {
  let proofs = 0
  for (const c of vectors.smst.cases) {
    const nonces = c.nonces ?? Array.from({ length: 1000 }, (_, i) => 2 + 5 * i)
    const tree = build(nonces)
    const root = smstRoot(tree)
    t.equal(Buffer.from(root.root).toString('hex'), c.root_hex, `root of ${nonces.length} leaves from ${nonces[0]}`)
    t.equal(root.depth, c.depth)
    t.equal(root.count, c.count)
    for (const p of c.proofs ?? []) {
      const own = smstProve(tree, p.leaf_index)
      if (own === undefined) throw new Error('no proof')
      t.equal(own.leaf.nonce, p.nonce_value)
      t.equal(Buffer.from(own.leaf.vector).toString('base64'), p.vector_bytes)
      t.equal(own.proof.length, p.proof_len)
      t.equal(concatHash(own.proof), p.sha256_of_concatenated_proof)
      if (p.proof !== undefined)
        t.same(
          own.proof.map((e) => Buffer.from(e).toString('base64')),
          p.proof,
        )
      t.equal(smstVerify(root, own.leaf, own.proof), undefined, 'own proof verifies')
      t.equal(smstIndexOf(tree, p.nonce_value), p.leaf_index)
      proofs++
    }
  }
  t.equal(vectors.smst.cases.length, 12)
  t.ok(proofs >= 14, `${proofs} proofs compared`)
})

t.test('order of insertion does not matter, duplicates are refused, old roots stay provable', async (t) => {
  const nonces = Array.from({ length: 64 }, (_, i) => (i * 1237) % 4999)
  const forward = build(nonces)
  const backward = build([...nonces].reverse())
  t.same(smstRoot(forward).root, smstRoot(backward).root)
  t.equal(smstInsert(forward, nonces[3] as number, vectorOf(1)), undefined)
  const before = smstRoot(forward)
  const grown = smstInsert(forward, 20_000_000, vectorOf(20_000_000)) as Smst
  t.equal(smstRoot(grown).depth, 25)
  t.same(smstRoot(forward).root, before.root, 'inserting left the old tree alone')
  const old = smstProve(forward, 5)
  t.equal(old && smstVerify(before, old.leaf, old.proof), undefined)
  t.match(old && smstVerify(smstRoot(grown), old.leaf, old.proof), /deep/)
  t.equal(smstIndexOf(forward, 5000), undefined)
  t.equal(smstProve(forward, 64), undefined)
  t.equal(smstProve(forward, -1), undefined)
})

t.test('every single altered byte of a proof is refused', async (t) => {
  const tree = build([7, 3, 12, 100, 65535])
  const root = smstRoot(tree)
  const own = smstProve(tree, 2)
  if (own === undefined) throw new Error('no proof')
  let refused = 0
  for (let i = 0; i < own.proof.length; i++) {
    for (let j = 0; j < 36; j++) {
      const proof = own.proof.map((e) => Uint8Array.from(e))
      const element = proof[i] as Uint8Array
      element[j] = (element[j] as number) ^ 1
      if (smstVerify(root, own.leaf, proof) !== undefined) refused++
    }
  }
  t.equal(refused, own.proof.length * 36)
  t.match(smstVerify(root, { ...own.leaf, index: 1 }, own.proof), /rank/)
  t.match(smstVerify(root, { ...own.leaf, nonce: 13 }, own.proof), /root|rank/)
  t.match(smstVerify(root, { ...own.leaf, nonce: 2 ** 25 }, own.proof), /fit/)
  t.match(smstVerify({ ...root, count: 6 }, own.leaf, own.proof), /leaves/)
  t.match(smstVerify({ ...root, depth: 25 }, own.leaf, own.proof), /deep/)
  t.match(smstVerify(root, own.leaf, own.proof.slice(1)), /elements/)
})

t.test("Go's generator and the choices made with it", async (t) => {
  const g1 = goRand(1n)
  t.ok(int63.length >= 5)
  for (const expected of int63) t.equal(g1.int63(), expected)
  for (const c of vectors.go_math_rand_intn) {
    const g = goRand(BigInt(c.seed))
    t.same(
      c.intn_1000003.map(() => g.intn(1000003)),
      c.intn_1000003,
      `seed ${c.seed}`,
    )
  }
  for (const c of vectors.leaf_sampling_v2) {
    const indices = sampleLeafIndices({
      validatorPubKey: c.validator_pubkey,
      blockHash: c.block_hash,
      height: BigInt(c.height),
      modelId: c.model_id,
      count: c.count,
      sampleSize: c.sample_size,
    })
    t.same(indices, c.indices)
  }
  const v1 = vectors.v1_sampling_perm
  const [pk, hash, height] = v1.seed_string.split(':') as [string, string, string]
  t.same(sampleNonceIndicesV1(pk, hash, BigInt(height), v1.n, v1.first.length), v1.first)
  t.same(
    sampleLeafIndices({ validatorPubKey: 'a', blockHash: 'b', height: 1n, modelId: 'm', count: 3, sampleSize: 200 }),
    [0, 1, 2],
  )
  t.throws(() => goRand(0n).intn(0))
})
