import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { GonkaError } from '../../lib/errors.ts'
import { binomialMass, binomialUpperTail } from '../../lib/protocol/binomial.ts'
import { belowTarget, fraudTest, fraudVerdict } from '../../lib/protocol/fraud.ts'

t.setTimeout(0)

interface Row {
  n: number
  n_invalid: number
  fraud_threshold: number
  probability_honest: number
  fraud_detected: boolean
  exact_decimal60: number | null
}
interface Semantics {
  desc: string
  received_dist?: number[]
  dist: (string | number)[]
  r_target: number
  fraud_threshold: number
  n_invalid: number
  probability_honest: number
  fraud_detected: boolean
  raises?: string
  nonces?: number[]
  out_nonces: number[]
  out_dist: number[]
}
const golden = JSON.parse(readFileSync('test/golden/v1/fraud.json', 'utf8')) as { rows: Row[]; semantics: Semantics[] }

/** "nan" and "inf" are spelt as Python does. */
const number = (text: string | number): number =>
  text === 'inf' ? Number.POSITIVE_INFINITY : text === 'nan' ? Number.NaN : Number(text)

const close = (a: number, b: number, relative: number): boolean => a === b || Math.abs(a - b) <= relative * Math.abs(b)

t.test('every golden row', async (t) => {
  t.equal(golden.rows.length, 1356)
  let worst = 0
  for (const row of golden.rows) {
    const verdict = fraudVerdict(row.n, row.n_invalid, row.fraud_threshold)
    const oracle = row.exact_decimal60 ?? row.probability_honest
    if (oracle > 0) worst = Math.max(worst, Math.abs(verdict.probabilityHonest - oracle) / oracle)
    if (!close(verdict.probabilityHonest, oracle, 1e-9) || verdict.fraudDetected !== row.fraud_detected) {
      t.fail(`n=${row.n} n_invalid=${row.n_invalid}`, { verdict, row })
    }
  }
  t.comment(`largest relative error ${worst}`)
})

t.test('boundary cases', async (t) => {
  for (const row of golden.semantics) {
    const dist = row.dist.map(number)
    if (row.nonces) {
      const kept = belowTarget(BigInt64Array.from(row.nonces, BigInt), Float64Array.from(dist), row.r_target)
      t.same([...kept.nonces].map(Number), row.out_nonces, row.desc)
      t.same([...kept.dist], row.out_dist, row.desc)
      continue
    }
    const test = () =>
      fraudTest({
        receivedDist: row.received_dist ?? [],
        dist,
        rTarget: row.r_target,
        fraudThreshold: row.fraud_threshold,
      })
    if (row.raises) {
      t.throws(test, { code: 'ERR_GK_BATCH' }, row.desc)
      continue
    }
    const verdict = test()
    t.equal(verdict.nInvalid, row.n_invalid, row.desc)
    t.ok(close(verdict.probabilityHonest, row.probability_honest, 1e-9), row.desc)
    t.equal(verdict.fraudDetected, row.fraud_detected, row.desc)
  }
  t.throws(
    () => fraudTest({ receivedDist: [Number.NaN], dist: [1], rTarget: 1.4, fraudThreshold: 1 }),
    GonkaError,
    'a claimed NaN is not below the target',
  )
  t.equal(fraudVerdict(0, 0, 2).fraudDetected, false, 'an empty batch is never fraud')
})

/** Sum over the whole tail in exact integers: p = a / 2^s, numerator over 2^(s n). */
function exactTail(n: number, k: number, a: bigint, shift: bigint): number {
  const b = (1n << shift) - a
  let coefficient = 1n
  let sum = 0n
  for (let i = 0n; i <= BigInt(n); i++) {
    if (i >= BigInt(k)) sum += coefficient * a ** i * b ** (BigInt(n) - i)
    coefficient = (coefficient * (BigInt(n) - i)) / (i + 1n)
  }
  const scale = shift * BigInt(n)
  const bits = BigInt(sum.toString(2).length)
  const drop = bits > 60n ? bits - 60n : 0n
  return Number(sum >> drop) * 2 ** Number(drop - scale)
}

t.test('tails against exact integer arithmetic', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 90 }), fc.nat(90), fc.integer({ min: 1, max: 1023 }), (n, k, a) => {
      const wanted = exactTail(n, k, BigInt(a), 10n)
      return close(binomialUpperTail(n, k, a / 1024), wanted, 1e-11)
    }),
  )
})

t.test('a million nonces: recurrence and sum of all mass', async (t) => {
  const n = 1_000_000
  for (const p of [5e-4, 0.3]) {
    // Compensated sum over 40 standard deviations on both sides of the mean.
    const spread = Math.ceil(40 * Math.sqrt(n * p * (1 - p)))
    const low = Math.max(0, Math.floor(n * p) - spread)
    const high = Math.min(n, Math.floor(n * p) + spread)
    let sum = 0
    let lost = 0
    for (let k = low; k <= high; k++) {
      const y = binomialMass(n, k, p) - lost
      const next = sum + y
      lost = next - sum - y
      sum = next
    }
    t.ok(Math.abs(sum - 1) < 1e-11, `mass sums to one at p = ${p}: ${sum - 1}`)
    for (const sigma of [-5, -1, 0, 0.5, 1, 4, 12]) {
      const k = Math.round(n * p + sigma * Math.sqrt(n * p * (1 - p)))
      const difference = binomialUpperTail(n, k, p) - binomialUpperTail(n, k + 1, p)
      const scale = binomialUpperTail(n, k, p)
      t.ok(Math.abs(difference - binomialMass(n, k, p)) < 1e-12 * scale, `tail(k) - tail(k+1) = mass(k) at k = ${k}`)
    }
  }
  t.equal(binomialUpperTail(n, 100, 0.3), 1, 'far below the mean, where the mass underflows')
  t.equal(binomialUpperTail(10, 11, 0.5), 0)
  t.equal(binomialUpperTail(10, 0, 0.5), 1)
  t.equal(binomialUpperTail(10, 3, 0), 0)
  t.equal(binomialUpperTail(10, 3, 1), 1)
})
