// Verdicts on noise whose law is known: they must hold their error rate where samples are alike for a while, and find what
// is there.
import t from 'tap'
import { seededUniform } from '../../lib/bench/random.ts'
import { mannWhitneyTest } from '../../lib/bench/rank-test.ts'
import { type Comparison, comparePairs, compareRuns, judge, type Verdict } from '../../lib/bench/verdict.ts'

t.setTimeout(0)

function normals(seed: number): () => number {
  const uniform = seededUniform(seed)
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** Calls on a machine whose speed wanders slowly (5 %), with jitter (1 %), interruptions and a place in memory (0.3 %). */
function noisyPairs(seed: number, slower: number, blocks = 20, pairs = 40) {
  const next = normals(seed)
  const uniform = seededUniform(seed + 1)
  let speed = 0
  const call = (time: number): number => {
    speed = 0.995 * speed + Math.sqrt(1 - 0.995 ** 2) * 0.05 * next()
    const interrupted = uniform() < 0.03 ? 1 + 3 * uniform() : 1
    return time * Math.exp(speed + 0.01 * next()) * interrupted
  }
  return Array.from({ length: blocks }, () => {
    const place = [Math.exp(0.003 * next()), (1 + slower) * Math.exp(0.003 * next())] as const
    const aNs: number[] = []
    const bNs: number[] = []
    for (let i = 0; i < pairs; i++) {
      // Whoever is second in a pair finds the caches 2 % worse.
      const bFirst = i % 2 === 0
      const first = call(100_000 * place[bFirst ? 1 : 0])
      const second = call(100_000 * place[bFirst ? 0 : 1]) * 1.02
      aNs.push(bFirst ? second : first)
      bNs.push(bFirst ? first : second)
    }
    return { aNs, bNs }
  })
}

const options = { threshold: 0.01, confidence: 0.99 }
const verdictOf = (comparison: Comparison): Verdict | undefined => judge([comparison], options)[0]?.verdict

t.test('pairs: no change is called a change rarely, and single samples would have cried wolf', async (t) => {
  let called = 0
  let naive = 0
  for (let seed = 1; seed <= 60; seed++) {
    const blocks = noisyPairs(seed * 7, 0)
    const verdict = verdictOf(comparePairs(blocks))
    if (verdict === 'slower' || verdict === 'faster') called++
    // As two runs one after the other, each call taken for an independent sample.
    const calls = noisyPairs(seed * 7, 0, 2, 100)
    if (mannWhitneyTest(calls[0]?.aNs ?? [], calls[1]?.aNs ?? []) <= 0.01) naive++
  }
  t.ok(called <= 1, `${called} of 60 called`)
  t.ok(naive > 20, `${naive} of 60 by samples taken as independent`)
})

t.test('pairs: two percent are found, in either direction', async (t) => {
  let slower = 0
  let faster = 0
  for (let seed = 1; seed <= 15; seed++) {
    if (verdictOf(comparePairs(noisyPairs(seed * 13, 0.02))) === 'slower') slower++
    if (verdictOf(comparePairs(noisyPairs(seed * 13, 1 / 1.02 - 1))) === 'faster') faster++
  }
  t.ok(slower >= 14, `${slower} of 15`)
  t.ok(faster >= 14, `${faster} of 15`)
})

t.test('pairs: the same, and too little to tell', async (t) => {
  t.equal(verdictOf(comparePairs(noisyPairs(3, 0, 40, 200))), 'same')
  t.equal(verdictOf(comparePairs(noisyPairs(3, 0.05, 4, 10))), 'cannot tell')
  t.equal(verdictOf(comparePairs(noisyPairs(3, 0.05, 1, 10))), 'cannot tell')
})

const run = (seed: number, time: number, blocks = 10): number[][] => {
  const next = normals(seed)
  return Array.from({ length: blocks }, () => {
    const level = time * Math.exp(0.005 * next())
    return Array.from({ length: 20 }, () => level * Math.exp(0.01 * Math.abs(next())))
  })
}

t.test('runs at different times', async (t) => {
  t.equal(verdictOf(compareRuns(run(1, 100), run(2, 110), 1)), 'slower')
  t.equal(verdictOf(compareRuns(run(1, 110), run(2, 100), 1)), 'faster')
  t.equal(verdictOf(compareRuns(run(1, 100, 40), run(2, 100, 40), 1)), 'same')
  t.equal(verdictOf(compareRuns(run(1, 100), run(2, 110), 1.1)), 'cannot tell', 'the machine slowed down by as much')
  t.equal(
    verdictOf(compareRuns(run(1, 100), run(2, 100), 1.1)),
    'cannot tell',
    'the machine slowed down, the case did not',
  )
  t.equal(verdictOf(compareRuns(run(1, 100, 3), run(2, 200, 3), 1)), 'cannot tell', 'three blocks prove nothing')
})

t.test('many cases at once', async (t) => {
  // Eight blocks suffice for one case (2 / (16 choose 8)) but not in a family of hundred.
  const lone = compareRuns(run(1, 100, 6), run(2, 120, 6), 1)
  t.equal(judge([lone], options)[0]?.verdict, 'slower')
  const family = judge(
    [lone, ...Array.from({ length: 99 }, (_, i) => compareRuns(run(i, 100, 6), run(i + 500, 100, 6), 1))],
    options,
  )
  t.equal(family[0]?.verdict, 'cannot tell')
  t.equal(family.filter(({ verdict }) => verdict === 'slower' || verdict === 'faster').length, 0)
})
