/** Which cases a command line of `bench` means. */
import type { Command } from 'commander'
import type { BenchCase } from '../bench/case.ts'
import { expandCases, loadSuite, parseCase, uniqueCases } from '../bench/suite.ts'
import { GonkaError } from '../errors.ts'
import { integerList } from './command.ts'

export interface ShapeOptions {
  readonly m?: readonly number[]
  readonly n?: readonly number[]
  readonly k?: readonly number[]
  readonly dtype?: string
  readonly packed?: boolean
  readonly accumulation?: string
  readonly seqlen?: readonly number[]
  readonly seqlenK?: readonly number[]
  readonly heads?: readonly number[]
  readonly headsKv?: readonly number[]
  readonly headDim?: readonly number[]
  readonly causal?: boolean
  readonly batch?: readonly number[]
  readonly nonces?: readonly number[]
  readonly generator?: string
  readonly rows?: readonly number[]
  readonly columns?: readonly number[]
  readonly params?: string
  readonly profile?: string
}

export function withShapeOptions(command: Command): Command {
  return command
    .option('--m <list>', 'gemm, matmul_pow: rows of A; lists stand for all combinations', integerList)
    .option('--n <list>', 'gemm, matmul_pow: rows of B', integerList)
    .option('--k <list>', 'gemm, matmul_pow: the reduced axis', integerList)
    .option('--dtype <list>', 'f32, f16, bf16, i8, f8_e4m3, f8_e5m2 (default: f32)')
    .option('--no-packed', 'gemm: B as it is, not packed beforehand')
    .option('--accumulation <list>', 'gemm of f8: f32, or short where sums may be (default: f32)')
    .option('--seqlen <list>', 'attention: queries', integerList)
    .option('--seqlen-k <list>', 'attention: keys (default: as queries)', integerList)
    .option('--heads <list>', 'attention: query heads; rope: heads (default: 8)', integerList)
    .option('--heads-kv <list>', 'attention: key and value heads (default: as query heads)', integerList)
    .option('--head-dim <list>', 'attention, rope: length of a head (default: 128)', integerList)
    .option('--causal', 'attention: with causal mask')
    .option('--batch <list>', 'attention: sequences; poc_v1: nonces of a forward pass', integerList)
    .option('--nonces <list>', 'sha256_search: nonces of a call', integerList)
    .option('--generator <name>', 'normal_fill: murmur3 or pcg64')
    .option('--rows <list>', 'row-wise ops, normal_fill', integerList)
    .option('--columns <list>', 'row-wise ops, normal_fill', integerList)
    .option('--params <set>', 'poc_v1: default, v1, v2 or a JSON file')
    .option('--profile <name>', 'matmul_pow: i8 or i4 (default: i8)')
}

/** Fields of a case of lib/bench/suite.ts that each op takes from the command line, with those that it must have. */
const adHocOps: Readonly<Record<string, { readonly fields: readonly string[]; readonly defaults: object }>> = {
  gemm: { fields: ['m', 'n', 'k', 'type', 'packed', 'accumulation'], defaults: { type: 'f32' } },
  attention: {
    fields: ['seqlen', 'seqlen_k', 'heads', 'heads_kv', 'head_dim', 'causal', 'batch', 'type'],
    defaults: { heads: 8, head_dim: 128, type: 'f32' },
  },
  matmul_pow: { fields: ['profile', 'm', 'n', 'k'], defaults: {} },
  sha256_search: { fields: ['nonces'], defaults: {} },
  normal_fill: { fields: ['generator', 'rows', 'columns', 'type'], defaults: { type: 'f32', generator: 'murmur3' } },
  rms_norm: { fields: ['rows', 'columns', 'type'], defaults: { type: 'f32' } },
  silu_mul: { fields: ['rows', 'columns', 'type'], defaults: { type: 'f32' } },
  householder: { fields: ['rows', 'columns', 'type'], defaults: { type: 'f32' } },
  l2_normalize: { fields: ['rows', 'columns', 'type'], defaults: { type: 'f32' } },
  permuted_distance: { fields: ['rows', 'columns', 'type'], defaults: { type: 'f32' } },
  rope: { fields: ['rows', 'heads', 'head_dim', 'type'], defaults: { heads: 8, head_dim: 128, type: 'f32' } },
  gather: { fields: ['rows', 'columns', 'type'], defaults: { type: 'f32' } },
  poc_v1: { fields: ['params', 'batch'], defaults: {} },
}

/** What of the options describes a shape, under the names of suite files. */
function shapeOf(options: ShapeOptions): Record<string, unknown> {
  const { m, n, k, seqlen, heads, batch, nonces, generator, rows, columns, params, profile, causal } = options
  const given = {
    m,
    n,
    k,
    seqlen,
    seqlen_k: options.seqlenK,
    heads,
    heads_kv: options.headsKv,
    head_dim: options.headDim,
    causal,
    batch,
    nonces,
    generator,
    rows,
    columns,
    params,
    profile,
    type: options.dtype?.split(','),
    packed: options.packed === false ? false : undefined,
    accumulation: options.accumulation?.split(','),
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** Throws ERR_GK_USAGE. */
export async function chooseCases(what: readonly string[], options: ShapeOptions): Promise<BenchCase[]> {
  const shape = shapeOf(options)
  if (Object.keys(shape).length > 0) return adHoc(what, shape)
  const suites = await Promise.all((what.length === 0 ? ['default'] : what).map(suiteOrOp))
  const cases = uniqueCases(suites.flat())
  if (cases.length === 0) throw new GonkaError('ERR_GK_USAGE', 'no case to measure: the suites are empty')
  return cases
}

async function suiteOrOp(name: string): Promise<readonly BenchCase[]> {
  if (name in adHocOps && name.includes('_')) return adHoc([name], {})
  return (await loadSuite(name)).cases
}

async function adHoc(what: readonly string[], shape: Record<string, unknown>): Promise<BenchCase[]> {
  const [op] = what
  const known = op === undefined ? undefined : adHocOps[op]
  if (op === undefined || known === undefined || what.length !== 1)
    throw new GonkaError(
      'ERR_GK_USAGE',
      `sizes go with exactly one op (${Object.keys(adHocOps).join(', ')}); got ${what.length === 0 ? 'none' : what.join(' ')}`,
    )
  const foreign = Object.keys(shape).filter((field) => !known.fields.includes(field))
  if (foreign.length > 0)
    throw new GonkaError('ERR_GK_USAGE', `${op} has no ${foreign.join(', ')}; it takes ${known.fields.join(', ')}`)
  return uniqueCases(await expandCases([parseCase({ op, ...known.defaults, ...shape }, `bench ${op}`)], { suite: op }))
}
