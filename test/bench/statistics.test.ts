// Statistics against known answers: tables, closed forms, counting everything, and noise whose law is known.
import t from 'tap'
import { bootstrapInterval, centre, shift } from '../../lib/bench/bootstrap.ts'
import { normalCdf, normalQuantile, studentCdf, studentQuantile } from '../../lib/bench/distributions.ts'
import { seededUniform } from '../../lib/bench/random.ts'
import { holm, mannWhitneyTest, signedRankTest } from '../../lib/bench/rank-test.ts'
import { autocorrelationTime, medianInterval, quantile, summarize } from '../../lib/bench/summary.ts'

t.setTimeout(0)

type Assertions = Pick<typeof t, 'ok'>

const near = (t: Assertions, found: number, wanted: number, tolerance: number, what = ''): void => {
  t.ok(Math.abs(found - wanted) <= tolerance, `${what} ${found} against ${wanted}`)
}

/** Standard normal numbers (Box and Muller) from a seed. */
function normals(seed: number): () => number {
  const uniform = seededUniform(seed)
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** A series whose neighbours correlate by rho. */
function autoregressive(next: () => number, length: number, rho: number): number[] {
  let state = next()
  return Array.from({ length }, () => {
    state = rho * state + Math.sqrt(1 - rho * rho) * next()
    return state
  })
}

t.test('quantiles', async (t) => {
  t.equal(quantile([3, 1, 2], 0.5), 2)
  t.equal(quantile([4, 1, 2, 3], 0.5), 2.5)
  t.equal(quantile([7], 0.25), 7)
  t.equal(quantile([0, 10], 0.25), 2.5)
  t.ok(Number.isNaN(quantile([], 0.5)))
  t.match(summarize([1, 2, 3, 4, 5], 0.95), { samples: 5, median: 3, spread: 2 / 3, min: 1 })
})

t.test('distributions against tables', async (t) => {
  // Abramowitz and Stegun, tables 26.1 and 26.10; tails from 26.2.
  near(t, normalCdf(0), 0.5, 1e-15)
  near(t, normalCdf(1), 0.841344746068543, 1e-14)
  near(t, normalCdf(-1.96), 0.0249978951482204, 1e-14)
  near(t, normalCdf(-5) / 2.866515718791939e-7, 1, 1e-10)
  near(t, normalCdf(-2.9999999), normalCdf(-3.0000001), 1e-9, 'series and fraction meet')
  near(t, normalQuantile(0.975), 1.959963984540054, 1e-10)
  for (const [degrees, probability, value] of [
    [1, 0.975, 12.7062047],
    [2, 0.95, 2.91998558],
    [5, 0.995, 4.03214298],
    [10, 0.975, 2.22813885],
    [19, 0.995, 2.86093461],
    [120, 0.975, 1.97993041],
  ] as const) {
    near(t, studentQuantile(probability, degrees), value, 2e-7, `t of ${degrees}`)
    near(t, studentCdf(-value, degrees), 1 - probability, 1e-8)
  }
})

/** Every way to give n values to a sample of k: the exact p-value by counting them. */
function mannWhitneyByCounting(a: readonly number[], b: readonly number[]): number {
  const all = [...a, ...b]
  const rankSum = (chosen: readonly number[]): number =>
    chosen.reduce(
      (sum, i) =>
        sum + all.reduce((rank, value) => rank + Number(value < (all[i] as number)) + Number(value === all[i]) / 2, 0),
      0,
    )
  const observed = rankSum(a.map((_, i) => i))
  let atMost = 0
  let atLeast = 0
  let total = 0
  const choose = (begin: number, chosen: number[]): void => {
    if (chosen.length === a.length) {
      const sum = rankSum(chosen)
      total++
      if (sum <= observed + 1e-9) atMost++
      if (sum >= observed - 1e-9) atLeast++
      return
    }
    for (let i = begin; i < all.length; i++) choose(i + 1, [...chosen, i])
  }
  choose(0, [])
  return Math.min(1, (2 * Math.min(atMost, atLeast)) / total)
}

function signedRankByCounting(values: readonly number[]): number {
  const kept = values.filter((value) => value !== 0)
  const size = kept.map(Math.abs)
  const rank = size.map((one) =>
    size.reduce((sum, other) => sum + Number(other < one) + Number(other === one) / 2, 0.5),
  )
  const positive = (sign: (i: number) => boolean): number => rank.reduce((sum, one, i) => sum + (sign(i) ? one : 0), 0)
  const observed = positive((i) => (kept[i] as number) > 0)
  let atMost = 0
  let atLeast = 0
  for (let signs = 0; signs < 2 ** kept.length; signs++) {
    const sum = positive((i) => ((signs >> i) & 1) === 1)
    if (sum <= observed + 1e-9) atMost++
    if (sum >= observed - 1e-9) atLeast++
  }
  return Math.min(1, (2 * Math.min(atMost, atLeast)) / 2 ** kept.length)
}

t.test('rank tests against counting every assignment', async (t) => {
  const seed = Date.now() % 2 ** 31
  t.comment(`seed ${seed}`)
  const uniform = seededUniform(seed)
  for (let round = 0; round < 40; round++) {
    // Few distinct values, so that ties come up.
    const draw = (): number => Math.floor(uniform() * (round % 2 === 0 ? 6 : 1000))
    const a = Array.from({ length: 1 + Math.floor(uniform() * 5) }, draw)
    const b = Array.from({ length: 1 + Math.floor(uniform() * 5) }, draw)
    near(t, mannWhitneyTest(a, b), mannWhitneyByCounting(a, b), 1e-12, `${a} | ${b}`)
    const signed = Array.from({ length: 1 + Math.floor(uniform() * 8) }, () => draw() - 3)
    near(t, signedRankTest(signed), signedRankByCounting(signed), 1e-12, `${signed}`)
  }
})

t.test('rank tests against published values', async (t) => {
  // All of one sample below all of the other: 2 / (10 choose 5).
  near(t, mannWhitneyTest([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), 2 / 252, 1e-15)
  // Hollander and Wolfe, Nonparametric Statistical Methods, example 3.1 (depression scores): T+ = 5 of n = 9, p = 0.0391.
  const differences = [0.952, -0.147, 1.022, 0.43, 0.62, 0.59, 0.49, -0.08, 0.01]
  near(t, signedRankTest(differences), 0.0390625, 1e-12)
  t.equal(signedRankTest([0, 0]), 1)
  t.equal(mannWhitneyTest([], [1]), 1)
  t.equal(mannWhitneyTest([5, 5, 5], [5, 5, 5]), 1)
})

t.test('beyond the exact limit the normal approximation continues the exact one', async (t) => {
  const next = normals(3)
  const exact = Array.from({ length: 60 }, () => next() + 0.3)
  const more = [...exact, 0.31]
  t.ok(Math.abs(Math.log(signedRankTest(more) / signedRankTest(exact))) < 0.35)
  const [a, b] = [Array.from({ length: 30 }, next), Array.from({ length: 30 }, () => next() + 0.6)]
  t.ok(Math.abs(Math.log(mannWhitneyTest([...a, 0], b) / mannWhitneyTest(a, b))) < 0.5)
  // Under no difference, p is at most 5 % in 5 % of cases.
  let rejected = 0
  for (let i = 0; i < 2000; i++) if (signedRankTest(Array.from({ length: 70 }, next)) <= 0.05) rejected++
  t.ok(rejected > 60 && rejected < 140, `${rejected} of 2000`)
})

t.test("Holm's correction", async (t) => {
  t.same(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
  t.same(holm([0.9, 0.001]), [0.9, 0.002])
  t.same(holm([]), [])
  t.same(holm([0.5, 0.5]), [1, 1])
})

t.test('centres and shifts', async (t) => {
  t.equal(centre([1, 2, 9]), 3.5) // means 1, 1.5, 2, 5, 5.5, 9
  t.equal(centre([4]), 4)
  t.equal(shift([1, 2], [11, 14]), 11) // differences 10, 9, 13, 12
  const wild = [...Array.from({ length: 80 }, (_, i) => 10 + (i % 5) / 10), ...Array.from({ length: 20 }, () => 1e6)]
  t.ok(Math.abs(centre(wild) - 10.2) < 0.3, 'one fifth of wild values')
})

t.test('a bootstrap interval holds the truth as often as it says', async (t) => {
  const next = normals(11)
  for (const size of [8, 20]) {
    let held = 0
    const rounds = 300
    for (let i = 0; i < rounds; i++) {
      const sample = Array.from({ length: size }, next)
      const options = { confidence: 0.95, resamples: 400, seed: i }
      const { low, high } = bootstrapInterval([sample], ([one]) => centre(one as number[]), options)
      if (low <= 0 && high >= 0) held++
    }
    // 95 % of 300 is 285, give or take 3.8.
    t.ok(held >= 272, `${held} of ${rounds} with ${size} values`)
  }
  t.same(
    bootstrapInterval([[1]], () => 1, { confidence: 0.9 }),
    {
      low: Number.NEGATIVE_INFINITY,
      high: Number.POSITIVE_INFINITY,
    },
  )
})

t.test('autocorrelation', async (t) => {
  const next = normals(5)
  near(t, autocorrelationTime(Array.from({ length: 4000 }, next)), 1, 0.25)
  // (1 + rho) / (1 - rho)
  near(t, autocorrelationTime(autoregressive(next, 20_000, 0.8)) / 9, 1, 0.35, 'long, in batches')
  near(t, autocorrelationTime(autoregressive(next, 4000, 0.5)) / 3, 1, 0.35)
  t.equal(autocorrelationTime([1, 1, 1, 1, 1]), 1)
})

t.test('the interval of a median holds it under autocorrelated noise', async (t) => {
  const next = normals(7)
  for (const rho of [0, 0.9]) {
    let held = 0
    for (let i = 0; i < 200; i++) {
      const { low, high } = medianInterval(autoregressive(next, 600, rho), 0.95)
      if (low <= 0 && high >= 0) held++
    }
    t.ok(held >= 180, `${held} of 200 at correlation ${rho}`)
  }
  // Ranks 5 -+ 3.1 of ten, rounded outwards: between the 1st and the 10th; the binomial distribution says 0.998.
  t.same(medianInterval([7, 3, 10, 5, 1, 9, 4, 8, 2, 6], 0.95), { low: 1, high: 10 })
})
