import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { PocV1Params } from '../../lib/native-api.ts'
import {
  ffnHidden,
  loadParams,
  namedParams,
  parameterCount,
  paramsFields,
  paramsName,
  parseParams,
} from '../../lib/protocol/params.ts'

t.setTimeout(0)

interface Published {
  params: PocV1Params
  ffn_hidden: number
  total_params: number
}
const published = JSON.parse(readFileSync('test/golden/v1/real_params_pool.json', 'utf8')) as Record<string, Published>

t.test('published sets', async (t) => {
  for (const [name, golden] of [
    ['default', 'Params_default'],
    ['v1', 'PARAMS_V1'],
    ['v2', 'PARAMS_V2'],
  ] as const) {
    const { params, ffn_hidden, total_params } = published[golden] as Published
    t.same(namedParams[name], params)
    t.same(Object.keys(namedParams[name]), paramsFields, 'one order of fields')
    t.equal(ffnHidden(params), ffn_hidden)
    t.equal(parameterCount(params), total_params)
    t.equal(paramsName(params), name)
    t.same(await loadParams(name), params)
  }
  t.equal(paramsName({ ...namedParams.default, seq_len: 17 }), undefined)
})

t.test('models of the forward vectors', async (t) => {
  for (const name of ['tiny', 'gqa', 'scaled_rope', 'v1like', 'seq1', 'stress_tiny']) {
    const meta = JSON.parse(readFileSync(`test/golden/v1/fwd_${name}/meta.json`, 'utf8')) as Published
    const params = parseParams(meta.params, name)
    t.equal(ffnHidden(params), meta.ffn_hidden, name)
    t.equal(parameterCount(params), meta.total_params, name)
  }
})

t.test('the feed-forward width is truncated, then rounded up', async (t) => {
  const width = (dim: number, ffn_dim_multiplier: number, multiple_of: number) =>
    ffnHidden({ ...namedParams.default, dim, ffn_dim_multiplier, multiple_of })
  t.equal(width(10, 1.3, 1), 33, 'floor(80 / 3) = 26, 33.8 becomes 33')
  t.equal(width(10, 1.3, 11), 33)
  t.equal(width(10, 1.3, 16), 48)
})

t.test('files', async (t) => {
  const good = { ...namedParams.default, dim: 64, n_heads: 4, n_kv_heads: 2 }
  const folder = t.testdir({
    'good.json': JSON.stringify(good),
    'bad.json': '{"dim": 64',
    'long.json': ' '.repeat(70_000),
  })
  t.same(await loadParams(join(folder, 'good.json')), good)
  await t.rejects(loadParams(join(folder, 'bad.json')), { code: 'ERR_GK_FILE', message: /is not JSON/ })
  await t.rejects(loadParams(join(folder, 'long.json')), { code: 'ERR_GK_FILE', message: /70000 bytes; at most 65536/ })
  await t.rejects(loadParams(folder), { code: 'ERR_GK_FILE', message: /not a regular file/ })
  await t.rejects(loadParams('v3'), {
    code: 'ERR_GK_PARAMS',
    message: /"v3" is neither a parameter set \(default, v1, v2\)/,
  })
  await t.rejects(loadParams('toString'), { code: 'ERR_GK_PARAMS' })
})

t.test('what is refused, by name', async (t) => {
  const { dim: _, ...withoutDim } = namedParams.default
  const cases: [unknown, RegExp][] = [
    [{ ...namedParams.default, dimm: 1, extra: 2 }, /unknown field "dimm", "extra"/],
    [withoutDim, /^x: dim: /],
    [{ ...namedParams.default, dim: '2048' }, /dim: .*number/],
    [{ ...namedParams.default, dim: 2048.5 }, /dim: .*int/],
    [{ ...namedParams.default, dim: 0 }, /dim: /],
    [{ ...namedParams.default, dim: 2 ** 24 + 16 }, /dim: /],
    [{ ...namedParams.default, n_layers: Number.MAX_SAFE_INTEGER }, /n_layers: /],
    [{ ...namedParams.default, seq_len: -1 }, /seq_len: /],
    [{ ...namedParams.default, n_heads: 15 }, /dim 2048 is not a multiple of n_heads 15/],
    [{ ...namedParams.default, n_heads: 2048, n_kv_heads: 2048 }, /head_dim 1 .* is odd/],
    [{ ...namedParams.default, n_kv_heads: 3 }, /n_heads 16 is not a multiple of n_kv_heads 3/],
    [{ ...namedParams.default, ffn_dim_multiplier: 0 }, /ffn_dim_multiplier: /],
    [{ ...namedParams.default, ffn_dim_multiplier: 1e-9 }, /feed-forward width of 0/],
    [{ ...namedParams.default, dim: 2 ** 24 }, /weights; at most 2\^46/],
    [{ ...namedParams.default, norm_eps: Number.NaN }, /norm_eps: /],
    [{ ...namedParams.default, rope_theta: 0.5 }, /rope_theta: /],
    [{ ...namedParams.default, use_scaled_rope: 1 }, /use_scaled_rope: /],
    [null, /^x: /],
    [[], /^x: /],
  ]
  for (const [value, message] of cases) {
    t.throws(() => parseParams(value, 'x'), { code: 'ERR_GK_PARAMS', message }, String(message))
  }
})
