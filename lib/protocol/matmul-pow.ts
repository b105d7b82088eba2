/**
 * matmul-pow version 1, the verifier's side in plain JavaScript: seeds, operands, one 64 x 64 tile, its ticket.
 * Integers are little-endian, || is concatenation, u32 and u64 arithmetic wraps, H is SHA-256.
 *
 *   job    = H("gonka-miner/matmul-pow/v1" || u32 profile, m, n, k, shares || target || challenge || public key)
 *   s      = H(job || u64 nonce)
 *   d      = H(s || "A" or "B"); element 16 b + i of a row: byte i of Philox4x32-10, key d[0..8), counter (b, row, d[8..16))
 *   ticket = H(s || u32 bi || u32 bj || u64 fold) as a big-endian number; a share wins if ticket < target
 */
import { createHash } from 'node:crypto'

/** Operands of the two profiles; the numbers are hashed into the job. */
export const matmulPowProfiles = { i8: 1, i4: 2 } as const
export type MatmulPowProfile = keyof typeof matmulPowProfiles

/** Fixed before the first nonce; all of it is bound into every ticket. */
export interface MatmulPowJob {
  readonly profile: MatmulPowProfile
  /** m, n: multiples of 64; k: a multiple of 256. */
  readonly m: number
  readonly n: number
  readonly k: number
  /** How many shares the proof carries. */
  readonly shares: number
  /** 32 bytes, big-endian. */
  readonly target: Uint8Array
  /** 32 bytes. */
  readonly challenge: Uint8Array
  /** 33 bytes: the compressed key that will sign. */
  readonly publicKey: Uint8Array
}

/** Rows and columns of a tile. */
export const tileSize = 64
const maxExtent = 65536
export const maxShares = 2 ** 20

/** The first of the specification's limits that the job breaks, or undefined. */
export function jobProblem(job: MatmulPowJob): string | undefined {
  for (const [name, multiple] of [
    ['m', tileSize],
    ['n', tileSize],
    ['k', 256],
  ] as const) {
    const value = job[name]
    if (!(Number.isInteger(value) && value >= multiple && value <= maxExtent && value % multiple === 0)) {
      return `${name} is ${value}; expected a multiple of ${multiple} in ${multiple}..${maxExtent}`
    }
  }
  if (!(Number.isInteger(job.shares) && job.shares >= 1 && job.shares <= maxShares)) {
    return `shares is ${job.shares}; expected 1..${maxShares}`
  }
  if (job.target.length !== 32) return `the target has ${job.target.length} bytes; expected 32`
  if (job.target.every((byte) => byte === 0)) return 'the target is 0: no ticket is below it'
  if (job.challenge.length !== 32) return `the challenge has ${job.challenge.length} bytes; expected 32`
  if (job.publicKey.length !== 33) return `the public key has ${job.publicKey.length} bytes; expected 33`
  return undefined
}

export function jobSeed({ profile, m, n, k, shares, target, challenge, publicKey }: MatmulPowJob): Uint8Array {
  const numbers = new DataView(new ArrayBuffer(20))
  for (const [i, value] of [matmulPowProfiles[profile], m, n, k, shares].entries())
    numbers.setUint32(4 * i, value, true)
  const hash = createHash('sha256').update('gonka-miner/matmul-pow/v1').update(numbers)
  return hash.update(target).update(challenge).update(publicKey).digest()
}

/** nonce: 0 .. 2^64 - 1. */
export function nonceSeed(seedOfJob: Uint8Array, nonce: bigint): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(8))
  bytes.setBigUint64(0, nonce, true)
  return createHash('sha256').update(seedOfJob).update(bytes).digest()
}

/** High and low 32 bits of a product of two u32, the high ones through 16-bit halves: doubles hold 53 bits only. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  return (aHigh * bHigh + Math.floor(middle / 65536) + ((middle % 65536) + aLow * bHigh) / 65536) >>> 0
}

/** Philox4x32-10 (Salmon et al., SC 2011): out[0..3] from counter (c0, c1, c2, c3) and key (k0, k1). */
export function philox4x32(
  out: Uint32Array,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0)
    const low0 = Math.imul(0xd2511f53, c0)
    const high1 = multiplyHigh(0xcd9e8d57, c2)
    const low1 = Math.imul(0xcd9e8d57, c2)
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1 >>> 0
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0 >>> 0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/** Rows firstRow .. firstRow + 63 of operand A or B under a nonce seed: [64, k]. */
export function operandRows(
  seed: Uint8Array,
  operand: 'A' | 'B',
  profile: MatmulPowProfile,
  firstRow: number,
  k: number,
): Int8Array {
  const digest = createHash('sha256').update(seed).update(operand).digest()
  const [k0, k1, c2, c3] = [0, 4, 8, 12].map((at) => digest.readUInt32LE(at)) as [number, number, number, number]
  const rows = new Int8Array(tileSize * k)
  const words = new Uint32Array(4)
  for (let row = 0; row < tileSize; row++) {
    for (let block = 0; block < k / 16; block++) {
      philox4x32(words, block, firstRow + row, c2, c3, k0, k1)
      const at = row * k + 16 * block
      for (let i = 0; i < 16; i++) {
        const byte = ((words[i >> 2] as number) >>> (8 * (i & 3))) & 0xff
        rows[at + i] = profile === 'i8' ? byte : ((byte * 15) >> 8) - 7
      }
    }
  }
  return rows
}

/** Ticket of tile (bi, bj), 32 bytes. The caller has checked that the tile lies in m x n. */
export function ticketOf(job: MatmulPowJob, seed: Uint8Array, bi: number, bj: number): Uint8Array {
  const { profile, k } = job
  const a = operandRows(seed, 'A', profile, tileSize * bi, k)
  const b = operandRows(seed, 'B', profile, tileSize * bj, k)
  const tail = new DataView(new ArrayBuffer(16))
  tail.setUint32(0, bi, true)
  tail.setUint32(4, bj, true)
  tail.setBigUint64(8, foldOf(a, b, k), true)
  return createHash('sha256').update(seed).update(tail).digest()
}

/** The fold of a tile: sum over r and even c of e(r, c) e(r, c + 1), e = u32(C) + u32((64 r + c + 1) * 0x9E3779B1). */
export function foldOf(a: Int8Array, b: Int8Array, k: number): bigint {
  const e = new Uint32Array(tileSize * tileSize)
  for (let r = 0; r < tileSize; r++) {
    for (let c = 0; c < tileSize; c++) {
      // |C| < 2^31 for every k that is allowed, and sums of integers below 2^53 are exact whatever their order.
      let sum = 0
      for (let x = 0, ra = r * k, cb = c * k; x < k; x++) sum += (a[ra + x] as number) * (b[cb + x] as number)
      const position = tileSize * r + c
      e[position] = sum + Math.imul(position + 1, 0x9e3779b1)
    }
  }
  let fold = 0n
  for (let i = 0; i < e.length; i += 2) fold += BigInt(e[i] as number) * BigInt(e[i + 1] as number)
  return BigInt.asUintN(64, fold)
}

/** Whether a ticket is below the target, both read as big-endian numbers. */
export function wins(ticket: Uint8Array, target: Uint8Array): boolean {
  return Buffer.compare(ticket, target) < 0
}

/** The target, 32 bytes, under which a tile wins with probability p, 2^-100 <= p < 1. */
export function targetFor(p: number): Uint8Array {
  if (!(p >= 2 ** -100 && p < 1)) throw new RangeError(`probability ${p} is not in 2^-100 .. 1`)
  // p * 2^200 is an integer but for the last bits of the smallest p, and exact as a bigint.
  const hex = (BigInt(Math.floor(p * 2 ** 200)) << 56n).toString(16).padStart(64, '0')
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}

/** Probability that a tile wins: target / 2^256. */
export function winProbability(target: Uint8Array): number {
  // The first 16 significant bytes hold more than a double; scaling them first keeps tiny targets exact enough.
  const first = target.findIndex((byte) => byte !== 0)
  if (first === -1) return 0
  let value = 0
  for (let i = first; i < Math.min(32, first + 8); i++) value = value * 256 + (target[i] as number)
  return value * 256 ** -Math.min(32, first + 8)
}
