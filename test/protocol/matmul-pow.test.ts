import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { gammaLower, gammaQuantile } from '../../lib/protocol/gamma.ts'
import {
  foldOf,
  jobProblem,
  jobSeed,
  type MatmulPowJob,
  type MatmulPowProfile,
  nonceSeed,
  operandRows,
  philox4x32,
  ticketOf,
  winProbability,
  wins,
} from '../../lib/protocol/matmul-pow.ts'

t.setTimeout(0)

interface Vector {
  profile: MatmulPowProfile
  m: number
  n: number
  k: number
  shares: number
  target: string
  challenge: string
  public_key: string
  nonce: string
  bi: number
  bj: number
  job_seed: string
  nonce_seed: string
  a_row0_first16: number[]
  b_row0_first16: number[]
  fold: string
  ticket: string
}
const vectors = JSON.parse(readFileSync('test/golden/matmul_pow/vectors.json', 'utf8')) as Vector[]
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')
const jobOf = (v: Vector): MatmulPowJob => ({
  profile: v.profile,
  m: v.m,
  n: v.n,
  k: v.k,
  shares: v.shares,
  target: bytes(v.target),
  challenge: bytes(v.challenge),
  publicKey: bytes(v.public_key),
})

t.test('Philox4x32-10: known answers of Random123', async (t) => {
  const known: [number[], number[], number[]][] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [Array(4).fill(0xffffffff), Array(2).fill(0xffffffff), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ]
  for (const [counter, key, wanted] of known) {
    const out = new Uint32Array(4)
    philox4x32(out, ...(counter as [number, number, number, number]), ...(key as [number, number]))
    t.same([...out], wanted)
  }
})

t.test('golden vectors', async (t) => {
  t.equal(vectors.length, 16)
  for (const v of vectors) {
    const job = jobOf(v)
    const name = `${v.profile} nonce ${v.nonce} tile ${v.bi},${v.bj}`
    t.equal(jobProblem(job), undefined)
    t.equal(hex(jobSeed(job)), v.job_seed, name)
    const seed = nonceSeed(jobSeed(job), BigInt(v.nonce))
    t.equal(hex(seed), v.nonce_seed)
    const a = operandRows(seed, 'A', v.profile, 64 * v.bi, v.k)
    const b = operandRows(seed, 'B', v.profile, 64 * v.bj, v.k)
    t.same([...a.subarray(0, 16)], v.a_row0_first16)
    t.same([...b.subarray(0, 16)], v.b_row0_first16)
    t.equal(String(foldOf(a, b, v.k)), v.fold)
    t.equal(hex(ticketOf(job, seed, v.bi, v.bj)), v.ticket)
  }
})

t.test('extreme operands', async (t) => {
  const k = 65536
  const a = new Int8Array(64 * k).fill(-128)
  // Every C is -128 * -128 * 65536 = 2^30, or its negative against +127: far beyond 24 bits.
  for (const [value, c] of [
    [-128, 2 ** 30],
    [127, -128 * 127 * 65536],
  ] as const) {
    let wanted = 0n
    const e = (q: number) => BigInt.asUintN(32, BigInt(c) + BigInt.asUintN(32, BigInt(q + 1) * 0x9e3779b1n))
    for (let q = 0; q < 4096; q += 2) wanted += e(q) * e(q + 1)
    t.equal(foldOf(a, new Int8Array(64 * k).fill(value), k), BigInt.asUintN(64, wanted))
  }
})

t.test('limits', async (t) => {
  const job = jobOf(vectors[0] as Vector)
  const wrong: [Partial<MatmulPowJob>, RegExp][] = [
    [{ m: 32 }, /^m is 32; expected a multiple of 64/],
    [{ m: 96 }, /^m is 96/],
    [{ n: 65600 }, /^n is 65600/],
    [{ k: 128 }, /^k is 128; expected a multiple of 256/],
    [{ shares: 0 }, /^shares is 0/],
    [{ shares: 2 ** 20 + 1 }, /^shares/],
    [{ target: new Uint8Array(32) }, /target is 0/],
    [{ target: new Uint8Array(31) }, /31 bytes/],
    [{ challenge: new Uint8Array(33) }, /33 bytes/],
    [{ publicKey: new Uint8Array(32) }, /32 bytes/],
  ]
  for (const [change, message] of wrong) t.match(jobProblem({ ...job, ...change }), message)
})

t.test('targets', async (t) => {
  const target = bytes(`00${'80'.padEnd(62, '0')}`)
  t.equal(winProbability(target), 2 ** -9)
  t.equal(winProbability(bytes('ff'.repeat(32))), 1)
  t.equal(winProbability(bytes(`${'00'.repeat(31)}01`)), 2 ** -256)
  t.ok(Math.abs(winProbability(bytes((vectors[0] as Vector).target)) - 0.001) < 1e-15)
  t.equal(wins(target, target), false, 'strictly below')
  t.equal(wins(bytes(`007f${'ff'.repeat(30)}`), target), true)
})

t.test('gamma quantiles', async (t) => {
  // Shape 1 is the exponential distribution; shape 2 has P = 1 - (1 + x) exp(-x).
  for (const p of [1e-3, 0.5, 0.999]) t.ok(Math.abs(gammaQuantile(1, p) / -Math.log1p(-p) - 1) < 1e-11)
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 50, noNaN: true }), (x) => {
      const wanted = 1 - (1 + x) * Math.exp(-x)
      return Math.abs(gammaLower(2, x) - wanted) <= 1e-12 + 1e-10 * wanted
    }),
  )
  for (const shape of [1, 30, 1000, 1e6]) {
    for (const p of [1e-6, 1e-3, 0.5, 0.9]) {
      t.ok(Math.abs(gammaLower(shape, gammaQuantile(shape, p)) / p - 1) < 1e-7, `shape ${shape}, p ${p}`)
    }
  }
  // Wilson and Hilferty's cube is within 1e-4 at this size: an independent formula.
  const cube = 1e4 * (1 - 1 / 9e4 - 3.090232306167813 / Math.sqrt(9e4)) ** 3
  t.ok(Math.abs(gammaQuantile(1e4, 1e-3) / cube - 1) < 1e-5)
})
