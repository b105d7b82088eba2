// PoC v2 artifacts of a model with no layers: seeded input embeddings of which the last token's vector is normalised,
// picked, rotated and rounded. It is the production derivation less the transformer, so private networks, tests and
// demonstrations run every byte of the protocol without model files or an accelerator. Its cost proves nothing.

import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'

/** First four bytes of SHA-256, big endian. */
export function seedFromString(text: string): number {
  return seedWords(text)[0] as number
}

function seedWords(text: string): Uint32Array {
  const digest = sha256(utf8ToBytes(text))
  const view = new DataView(digest.buffer, digest.byteOffset)
  return Uint32Array.from({ length: 8 }, (_, i) => view.getUint32(4 * i, false))
}

/** Murmur3 (32 bit) of one 4-byte key, without the final xor of the length. */
export function murmur3(key: number, seed: number): number {
  let k = Math.imul(key, 0xcc9e2d51)
  k = (k << 15) | (k >>> 17)
  let h = seed ^ Math.imul(k, 0x1b873593)
  h = (h << 13) | (h >>> 19)
  h = (Math.imul(h, 5) + 0xe6546b64) | 0
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

const twoPi = Math.fround(2 * Math.PI)
const minUniform = Math.fround(1e-10)

/** Element `index` of the block-layout Box-Muller vector of length `n`: the first half are cosines, the second sines. */
function normalAt(seed: number, n: number, index: number): number {
  const pairs = Math.ceil(n / 2)
  const j = index < pairs ? index : index - pairs
  const u1 = Math.max(Math.fround(murmur3(j, seed)) / 2 ** 32, minUniform)
  const u2 = Math.fround(murmur3(pairs + j, seed)) / 2 ** 32
  const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(u1)))))
  const angle = Math.fround(twoPi * u2)
  return Math.fround(radius * Math.fround(index < pairs ? Math.cos(angle) : Math.sin(angle)))
}

/** `n` normals from a 32-bit seed; each within 3 ulp of the reference's fp32. */
export function seededNormals(seed: number, n: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => normalAt(seed, n, i))
}

/** Elements [from, to) of the input embeddings of `n` = seq_len * dim values. With the stronger generator eight seeds each
 *  fill a segment of ceil(n/8), normals of the segment's own length. */
function inputSlice(text: string, n: number, from: number, to: number, strongerRng: boolean): Float32Array {
  if (!strongerRng) {
    const seed = seedFromString(text)
    return Float32Array.from({ length: to - from }, (_, i) => normalAt(seed, n, from + i))
  }
  const seeds = seedWords(text)
  const segment = Math.ceil(n / 8)
  return Float32Array.from({ length: to - from }, (_, i) => {
    const s = Math.floor((from + i) / segment)
    return normalAt(seeds[s] as number, Math.min(segment, n - s * segment), from + i - s * segment)
  })
}

/** The k indices below dim with the smallest murmur words, in the order the reference's accelerator returns them: all but
 *  the largest score by ascending index, that one last. */
export function pickIndices(seed: number, dim: number, k: number): number[] {
  const scored = Array.from({ length: dim }, (_, i) => ({ i, score: murmur3(i, seed) }))
  scored.sort((a, b) => a.score - b.score)
  const chosen = scored.slice(0, k).map((s) => s.i)
  const last = chosen.pop()
  chosen.sort((a, b) => a - b)
  return last === undefined ? [] : [...chosen, last]
}

/** k-1 Householder reflections seeded by `prefix` + j, in fp64 on fp32 data. */
export function haarRotate(prefix: string, values: Float64Array): Float64Array {
  const out = Float64Array.from(values)
  for (let j = 0; j < out.length - 1; j++) {
    const v = seededNormals(seedFromString(`${prefix}${j}`), out.length)
    const norm = Math.sqrt(v.reduce((s, x) => s + x * x, 0)) + 1e-30
    let dot = 0
    for (let i = 0; i < out.length; i++) dot += ((v[i] as number) / norm) * (out[i] as number)
    for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) - (2 * dot * (v[i] as number)) / norm
  }
  return out
}

function normalise(values: ArrayLike<number>): Float64Array {
  const out = Float64Array.from(values)
  const norm = Math.sqrt(out.reduce((s, x) => s + x * x, 0)) + 1e-8
  return out.map((x) => x / norm)
}

export interface EmbeddingJob {
  readonly blockHash: string
  readonly publicKey: string
  readonly seqLen: number
  /** Width of the embedding, >= kDim. */
  readonly dim: number
  readonly kDim: number
  readonly strongerRng: boolean
}

/** The artifact's values before rounding to fp16. A pure function of job and nonce. */
export function embeddingArtifact(job: EmbeddingJob, nonce: number): Float32Array {
  const base = `${job.blockHash}_${job.publicKey}_nonce`
  const n = job.seqLen * job.dim
  const hidden = normalise(inputSlice(`${base}${nonce}`, n, n - job.dim, n, job.strongerRng))
  const picks = pickIndices(seedFromString(`${base}_${nonce}_pick_${job.kDim}`), job.dim, job.kDim)
  const picked = Float64Array.from(picks, (i) => hidden[i] as number)
  return Float32Array.from(normalise(haarRotate(`${base}_${nonce}_haar_hh_${job.kDim}_`, picked)))
}
