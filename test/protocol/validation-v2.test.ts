import { readFileSync } from 'node:fs'
import t from 'tap'
import { isGonkaError } from '../../lib/errors.ts'
import { decodeVector } from '../../lib/protocol/artifact-vector.ts'
import { defaultStatTest } from '../../lib/protocol/fraud-test.ts'
import { validateArtifacts } from '../../lib/protocol/validation-v2.ts'

interface Computed {
  readonly nonce: number
  readonly vector_b64?: string
  readonly k_points_steps?: number[]
  readonly n_sphere_mismatches?: number
  readonly mismatch_margin_max?: number | null
}

interface Row {
  readonly desc: string
  readonly computed_artifacts: Computed[]
  readonly validation_map: Record<string, string>
  readonly n_total: number
  readonly kwargs: {
    readonly dist_threshold?: number
    readonly p_mismatch?: number
    readonly fraud_threshold?: number
    readonly k_dim?: number
    readonly use_trajectory?: boolean
    readonly requested_nonces?: number[]
  }
}

interface Result {
  readonly n_total: number
  readonly n_mismatch: number
  readonly mismatch_nonces: number[]
  readonly p_value: number
  readonly fraud_detected: boolean
  readonly n_excluded?: number
  readonly excluded_nonces?: number[]
}

const golden = JSON.parse(readFileSync('test/golden/v2/validation.json', 'utf8')) as {
  run_validation: (Row & { distances: (number | string | null)[]; result_vllm_fork: Result; result_plugin: Result })[]
  plugin_only: (Row & { result?: Result; raises?: unknown })[]
}

function run(row: Row) {
  const { kwargs } = row
  return validateArtifacts(
    {
      computed: row.computed_artifacts.map((artifact) => {
        const vector = artifact.vector_b64 === undefined ? undefined : decodeVector(artifact.vector_b64)
        return {
          nonce: artifact.nonce,
          ...(vector === undefined ? {} : { vector }),
          ...(artifact.k_points_steps === undefined ? {} : { points: artifact.k_points_steps }),
          ...(artifact.n_sphere_mismatches === undefined ? {} : { sphereMismatches: artifact.n_sphere_mismatches }),
          ...(artifact.mismatch_margin_max == null ? {} : { largestMargin: artifact.mismatch_margin_max }),
        }
      }),
      claims: new Map(Object.entries(row.validation_map).map(([nonce, claim]) => [Number(nonce), claim])),
      nTotal: row.n_total,
      kDim: kwargs.k_dim ?? 12,
      ...(kwargs.use_trajectory ? { trajectory: true } : {}),
      ...(kwargs.requested_nonces ? { requested: kwargs.requested_nonces } : {}),
    },
    {
      distThreshold: kwargs.dist_threshold ?? defaultStatTest.distThreshold,
      pMismatch: kwargs.p_mismatch ?? defaultStatTest.pMismatch,
      significance: kwargs.fraud_threshold ?? defaultStatTest.significance,
    },
  )
}

const asResult = (result: ReturnType<typeof run>) => ({
  n_total: result.nTotal,
  n_mismatch: result.mismatchNonces.length,
  mismatch_nonces: [...result.mismatchNonces],
  fraud_detected: result.fraudDetected,
})

t.test('every row of run_validation', async (t) => {
  for (const row of golden.run_validation) {
    const got = run(row)
    for (const want of [row.result_vllm_fork, row.result_plugin]) {
      const { n_total, n_mismatch, mismatch_nonces, fraud_detected } = want
      t.same(asResult(got), { n_total, n_mismatch, mismatch_nonces, fraud_detected }, row.desc)
      t.ok(Math.abs(got.pValue / want.p_value - 1) < 1e-9, `${row.desc}: p ${got.pValue} for ${want.p_value}`)
    }
    if (row.distances.length !== row.computed_artifacts.length) continue
    row.computed_artifacts.forEach(({ nonce }, i) => {
      const [distance, want] = [got.distances.get(nonce), row.distances[i]]
      // Rows about other lengths list the distance that the shapes' common part would have.
      if (typeof want !== 'number' || distance === undefined || Number.isNaN(distance)) return
      t.ok(Math.abs(distance - want) <= 2e-7 * want, `${row.desc}: nonce ${nonce} ${distance} for ${want}`)
    })
  }
  t.equal(golden.run_validation.length, 29)
})

t.test('every row of the plugin: trajectories, excluded nonces, no verdict', async (t) => {
  let refused = 0
  for (const row of golden.plugin_only) {
    if (row.result === undefined) {
      t.throws(() => run(row), { code: 'ERR_GK_UNSUPPORTED' }, row.desc)
      refused++
      continue
    }
    const got = run(row)
    const { n_total, n_mismatch, mismatch_nonces, fraud_detected, excluded_nonces, p_value } = row.result
    t.same(asResult(got), { n_total, n_mismatch, mismatch_nonces, fraud_detected }, row.desc)
    t.same(got.excludedNonces, excluded_nonces ?? [], row.desc)
    t.ok(Math.abs(got.pValue / p_value - 1) < 1e-9, row.desc)
  }
  t.equal(refused, 3)
  t.equal(golden.plugin_only.length, 9)
})

t.test('runs of the toy models against each other, as the reference compared them', async (t) => {
  for (const model of ['llama_tiny', 'qwen3_tiny', 'qwen2_bias']) {
    const stored = JSON.parse(readFileSync(`test/golden/v2/${model}/artifacts.json`, 'utf8')) as {
      k_dim: number
      runs: Record<string, { artifacts: { nonce: number; vector_b64: string }[] }>
      cross_compare: { a: string; b: string; distances: number[]; validation: Result }[]
    }
    t.ok(stored.cross_compare.length > 0)
    for (const { a, b, distances, validation } of stored.cross_compare) {
      const got = run({
        desc: `${model}: ${b} against ${a}`,
        computed_artifacts: stored.runs[a]?.artifacts ?? [],
        validation_map: Object.fromEntries(stored.runs[b]?.artifacts.map((x) => [x.nonce, x.vector_b64]) ?? []),
        n_total: validation.n_total,
        kwargs: { k_dim: stored.k_dim },
      })
      const { n_total, n_mismatch, mismatch_nonces, fraud_detected } = validation
      t.same(asResult(got), { n_total, n_mismatch, mismatch_nonces, fraud_detected }, `${model}: ${b} against ${a}`)
      t.ok(Math.abs(got.pValue / validation.p_value - 1) < 1e-9)
      t.same(
        [...got.distances.values()].map((x, i) => Math.abs(x - (distances[i] as number)) <= 1e-6),
        distances.map(() => true),
      )
    }
  }
})

t.test('a refusal to judge is no crash', async (t) => {
  try {
    validateArtifacts({ computed: [], claims: new Map(), nTotal: 0, kDim: 12, requested: [1, 2, 3] }, defaultStatTest)
    t.fail('a verdict about nothing')
  } catch (error) {
    t.ok(isGonkaError(error, 'ERR_GK_UNSUPPORTED'))
    t.match((error as Error).message, /3 of 3 nonces/)
  }
})
