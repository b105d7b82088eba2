import { readFileSync } from 'node:fs'
import t from 'tap'
import { decodeVector, encodeVector, fromHalfBits, toHalfBits } from '../../lib/protocol/artifact-vector.ts'
import { binomialUpperTail } from '../../lib/protocol/binomial.ts'
import {
  embeddingArtifact,
  haarRotate,
  murmur3,
  pickIndices,
  seededNormals,
  seedFromString,
} from '../../lib/protocol/embedding-artifact.ts'
import { judgeArtifacts } from '../../lib/protocol/fraud-test.ts'

const floats = (bits: readonly number[]) => new Float32Array(Uint32Array.from(bits).buffer)
const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length)
const load = (name: string) => JSON.parse(readFileSync(`test/golden/v2/${name}`, 'utf8'))

const primitives = load('primitives.json') as {
  seed_from_string: { s: string; seed: number }[]
  murmur3_32: { seed: number; keys_i32: number[]; out_u32: number[] }[]
  normal: { seed: number; n: number; f32_bits: number[] }[]
  random_pick_indices: {
    block_hash: string
    public_key: string
    nonces: number[]
    dim: number
    k: number
    cuda_order: number[][]
  }[]
  apply_haar_rotation: {
    block_hash: string
    public_key: string
    nonces: number[]
    k: number
    x_f32_bits: number[][]
    y_oracle_f64: number[][]
  }[]
}

t.test('seeds and murmur words are exact, normals within 3 ulp', async (t) => {
  for (const c of primitives.seed_from_string) t.equal(seedFromString(c.s), c.seed)
  for (const c of primitives.murmur3_32)
    t.same(
      c.keys_i32.map((k) => murmur3(k, c.seed)),
      c.out_u32,
    )
  let worst = 0
  for (const c of primitives.normal) {
    const own = bitsOf(seededNormals(c.seed, c.n))
    c.f32_bits.forEach((bits, i) => {
      worst = Math.max(worst, Math.abs((own[i] as number) - bits))
    })
  }
  t.ok(worst <= 3, `worst ${worst} ulp`)
})

t.test('picks in accelerator order, Haar rotation', async (t) => {
  for (const c of primitives.random_pick_indices) {
    c.nonces.forEach((nonce, i) => {
      const seed = seedFromString(`${c.block_hash}_${c.public_key}_nonce_${nonce}_pick_${c.k}`)
      t.same(pickIndices(seed, c.dim, c.k), c.cuda_order[i], `dim ${c.dim} k ${c.k} nonce ${nonce}`)
    })
  }
  let worst = 0
  for (const c of primitives.apply_haar_rotation) {
    c.nonces.forEach((nonce, i) => {
      const x = Float64Array.from(floats(c.x_f32_bits[i] as number[]))
      const y = haarRotate(`${c.block_hash}_${c.public_key}_nonce_${nonce}_haar_hh_${c.k}_`, x)
      y.forEach((v, j) => {
        worst = Math.max(worst, Math.abs(v - (c.y_oracle_f64[i]?.[j] as number)))
      })
    })
  }
  t.ok(worst <= 5e-6, `worst ${worst}`)
})

t.test('an embedding artifact is a unit vector and depends on every input', async (t) => {
  const job = { blockHash: 'AB', publicKey: '02ff', seqLen: 16, dim: 32, kDim: 12, strongerRng: false }
  const base = embeddingArtifact(job, 5)
  t.ok(Math.abs(Math.hypot(...base) - 1) < 1e-6)
  t.same(embeddingArtifact(job, 5), base)
  for (const other of [
    embeddingArtifact(job, 6),
    embeddingArtifact({ ...job, blockHash: 'ab' }, 5),
    embeddingArtifact({ ...job, publicKey: '03ff' }, 5),
    embeddingArtifact({ ...job, seqLen: 17 }, 5),
    embeddingArtifact({ ...job, dim: 33 }, 5),
    embeddingArtifact({ ...job, strongerRng: true }, 5),
  ]) {
    t.ok(Math.hypot(...other.map((v, i) => v - (base[i] as number))) > 0.05)
  }
})

const validation = load('validation.json') as {
  encode_vector: { f32_bits: number[]; b64: string; f16_bits: number[]; decoded_f32_bits: number[] }[]
  fraud_test: {
    rows: {
      n_mismatch: number
      n_total: number
      p_mismatch: number
      exact_decimal60: number
      fraud: Record<string, boolean>
    }[]
  }
}

t.test('fp16 encoding bit for bit, and back', async (t) => {
  for (const c of validation.encode_vector) {
    const values = floats(c.f32_bits)
    t.equal(encodeVector(values), c.b64)
    t.same([...values].map(toHalfBits), c.f16_bits)
    t.same([...bitsOf(decodeVector(c.b64) as Float32Array)], c.decoded_f32_bits)
  }
  for (let bits = 0; bits < 65536; bits++) {
    const value = fromHalfBits(bits)
    if (!Number.isNaN(value) && toHalfBits(value) !== bits) t.fail(`half ${bits} does not survive a round trip`)
  }
  for (const bad of ['A', 'AAA', 'AA=A', 'AA-_', 'AAAA AAA', 'AAA=\n']) t.equal(decodeVector(bad), undefined, bad)
})

t.test('binomial tail against 60-digit sums, every verdict of the grid', async (t) => {
  let worst = 0
  let verdicts = 0
  for (const row of validation.fraud_test.rows) {
    const p = row.n_total === 0 ? 1 : binomialUpperTail(row.n_total, row.n_mismatch, row.p_mismatch)
    if (row.exact_decimal60 > 1e-300) worst = Math.max(worst, Math.abs(p / row.exact_decimal60 - 1))
    for (const [threshold, fraud] of Object.entries(row.fraud)) {
      t.equal(p < Number(threshold), fraud)
      verdicts++
    }
  }
  t.ok(worst < 1e-9, `worst relative error ${worst} over ${validation.fraud_test.rows.length} rows`)
  t.ok(verdicts > 500)
})

t.test('the first mismatch count that is fraud, as the protocol tabulates it', async (t) => {
  const table: [number, number, number[]][] = [
    [0.1, 0.05, [4, 10, 16, 28]],
    [0.1, 0.01, [5, 11, 19, 31]],
    [0.001, 0.01, [1, 2, 2, 3]],
  ]
  for (const [p, threshold, expected] of table) {
    const found = [10, 50, 100, 200].map((n) => {
      let k = 0
      while (binomialUpperTail(n, k, p) >= threshold) k++
      return k
    })
    t.same(found, expected, `p ${p} threshold ${threshold}`)
  }
})

t.test(
  'judging: threshold is strict, bad claims mismatch, missing recomputations are excluded or void the verdict',
  async (t) => {
    const test = { distThreshold: 0.5, pMismatch: 0.1, significance: 0.05 }
    const own = new Map(Array.from({ length: 20 }, (_, i) => [i, Float32Array.of(1, 0)] as const))
    const claim = (nonce: number, values: number[]) => ({
      nonce,
      vectorBase64: encodeVector(Float32Array.from(values)),
    })
    const honest = Array.from({ length: 20 }, (_, i) => claim(i, [1, 0.5]))
    t.match(judgeArtifacts(honest, own, test), { nTotal: 20, nMismatch: 0, fraudDetected: false, pValue: 1 })
    const bad = [...honest]
    bad[0] = claim(0, [1, 0.501])
    bad[1] = claim(1, [1])
    bad[2] = claim(2, [Number.NaN, 0])
    bad[3] = { nonce: 3, vectorBase64: '!' }
    bad[4] = claim(4, [1, Number.POSITIVE_INFINITY])
    t.match(judgeArtifacts(bad, own, test), { nMismatch: 5, mismatchNonces: [0, 1, 2, 3, 4], fraudDetected: true })
    own.delete(0)
    own.delete(1)
    t.match(judgeArtifacts(bad, own, test), { nTotal: 18, nExcluded: 2, nMismatch: 3, excludedNonces: [0, 1] })
    own.delete(2)
    t.equal(judgeArtifacts(bad, own, test), undefined, 'three of twenty missing: no verdict')
  },
)
