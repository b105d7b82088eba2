/**
 * Suites: cases as data, in bench/suites/*.json and in files of the user.
 *
 *   { "suite": "gemm", "summary": "...", "include": ["other"], "threads": [1, 2], "device": "cpu:0",
 *     "cases": [{ "op": "gemm", "m": [1, 16], "n": 4096, "k": 4096, "type": ["f32", "bf16"] }] }
 *
 * A list in place of a value stands for one case per entry; several lists for all combinations, the last one varying
 * fastest. threads and device, of the suite or of a case, go before what the command line says. include names suites of
 * the package.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { GonkaError } from '../errors.ts'
import { readJson } from '../files.ts'
import type { DtypeName } from '../native-api.ts'
import { packageRoot } from '../package-info.ts'
import { describeIssues, loadParams } from '../protocol/params.ts'
import { type BenchCase, type CaseProblem, caseName } from './case.ts'

const mostCases = 10_000
const suiteFileBytes = 1 << 20

/** One value, or a list that stands for one case per entry. */
function each<T extends z.ZodType>(value: T) {
  const wanted = value.description ?? 'one value'
  return z.union([value, z.array(value).min(1).max(256)], {
    error: ({ input }) =>
      `expected ${wanted}, or a list of such; got ${input === undefined ? 'nothing' : JSON.stringify(input)}`,
  })
}

function integer(min: number, max: number, multiple = 1) {
  const kind = multiple === 1 ? 'an integer' : `a multiple of ${multiple}`
  return z.int().min(min).max(max).multipleOf(multiple).describe(`${kind} in ${min}..${max}`)
}

function oneOf<const T extends readonly string[]>(names: T) {
  return z.enum(names).describe(`one of ${names.join(', ')}`)
}

const extent = integer(1, 2 ** 24)
const heads = integer(1, 4096)
const threads = integer(1, 4096)
const tiles = integer(64, 65536, 64)
const flag = z.boolean().describe('true or false')
const floatType = oneOf(['f32', 'f16', 'bf16'])
const gemmType = oneOf(['f32', 'f16', 'bf16', 'i8', 'f8_e4m3', 'f8_e5m2'])

const shared = {
  /** Takes the place of the op's name in the name of the case. */
  label: z.string().min(1).max(80).optional(),
  threads: each(threads).optional(),
  device: z.string().min(1).max(64).optional(),
}

export const caseSchema = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('gemm'),
    m: each(extent),
    n: each(extent),
    k: each(extent),
    type: each(gemmType),
    /** B packed beforehand; true if absent. */
    packed: each(flag).optional(),
    /** Of F8: whether sums of neighbouring products may be short; f32 if absent. */
    accumulation: each(oneOf(['f32', 'short'])).optional(),
    ...shared,
  }),
  z.strictObject({
    op: z.literal('attention'),
    seqlen: each(extent),
    /** Keys; seqlen if absent. */
    seqlen_k: each(extent).optional(),
    heads: each(heads),
    heads_kv: each(heads).optional(),
    head_dim: each(integer(1, 256)),
    causal: each(flag).optional(),
    batch: each(integer(1, 65536)).optional(),
    type: each(floatType),
    ...shared,
  }),
  z.strictObject({
    op: z.literal('matmul_pow'),
    profile: each(oneOf(['i8', 'i4'])).optional(),
    m: each(tiles),
    n: each(tiles),
    k: each(integer(256, 65536, 256)),
    ...shared,
  }),
  z.strictObject({
    op: z.literal('sha256_search'),
    nonces: each(
      z
        .int()
        .min(1)
        .max(2 ** 32),
    ).optional(),
    ...shared,
  }),
  z.strictObject({
    op: z.literal('normal_fill'),
    generator: each(oneOf(['murmur3', 'pcg64'])),
    rows: each(extent),
    columns: each(extent),
    type: each(floatType),
    ...shared,
  }),
  z.strictObject({
    op: z.enum(['rms_norm', 'silu_mul', 'householder', 'l2_normalize', 'permuted_distance']),
    rows: each(extent),
    columns: each(extent),
    type: each(floatType),
    ...shared,
  }),
  z.strictObject({
    op: z.literal('rope'),
    /** Tokens. */
    rows: each(extent),
    heads: each(heads),
    head_dim: each(integer(2, 65536, 2)),
    type: each(floatType),
    ...shared,
  }),
  z.strictObject({
    op: z.literal('gather'),
    rows: each(extent),
    columns: each(extent),
    type: each(floatType),
    out_type: each(floatType).optional(),
    ...shared,
  }),
  z.strictObject({
    op: z.literal('poc_v1'),
    /** A published set, or a file of parameters. */
    params: each(z.string().min(1).max(4096).describe('default, v1, v2 or a JSON file')).optional(),
    batch: each(integer(1, 65536)).optional(),
    ...shared,
  }),
])

const suiteSchema = z.strictObject({
  suite: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, 'expected a name of a-z, 0-9, . and -'),
  summary: z.string().max(500).optional(),
  include: z.array(z.string()).max(64).optional(),
  threads: each(threads).optional(),
  device: z.string().min(1).max(64).optional(),
  cases: z.array(caseSchema).max(1000),
})

/** A case of a suite file: values, or lists that stand for one case per entry. */
export type CaseSpec = z.infer<typeof caseSchema>
type Suite = z.infer<typeof suiteSchema>
/** A case of a suite with its lists resolved. */
type Scalars<T> = T extends CaseSpec ? { [K in keyof T]: Exclude<T[K], readonly unknown[]> } : never
type ScalarCase = Scalars<CaseSpec>

/** Where the package keeps its suites. */
export function suiteFolder(): string {
  return join(packageRoot(), 'bench', 'suites')
}

/** Names of the package's suites, sorted. */
export function suiteNames(): string[] {
  return readdirSync(suiteFolder())
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
    .sort()
}

export interface SuiteText {
  readonly name: string
  readonly summary: string
  readonly cases: readonly BenchCase[]
}

/**
 * Reads a suite: one of the package by its name, anything with a dot or a slash as a file. Throws ERR_GK_FILE, or
 * ERR_GK_USAGE naming what is wrong in it.
 */
export async function loadSuite(nameOrFile: string): Promise<SuiteText> {
  return loadNested(nameOrFile, [])
}

async function loadNested(nameOrFile: string, above: readonly string[]): Promise<SuiteText> {
  const isFile = /[./]/.test(nameOrFile) && !suiteNames().includes(nameOrFile)
  if (!isFile && !suiteNames().includes(nameOrFile))
    throw new GonkaError(
      'ERR_GK_USAGE',
      `no suite ${JSON.stringify(nameOrFile)}; there are: ${suiteNames().join(', ')}; or one op with its sizes, or a JSON file`,
    )
  if (above.includes(nameOrFile))
    throw new GonkaError('ERR_GK_USAGE', `suite ${nameOrFile} includes itself: ${[...above, nameOrFile].join(' > ')}`)
  const path = isFile ? nameOrFile : join(suiteFolder(), `${nameOrFile}.json`)
  const suite = parseSuite(await readJson(path, suiteFileBytes), path)
  const included: BenchCase[] = []
  for (const name of suite.include ?? []) included.push(...(await loadNested(name, [...above, nameOrFile])).cases)
  const cases = [...included, ...(await expandCases(suite.cases, suite))]
  return { name: suite.suite, summary: suite.summary ?? '', cases: uniqueCases(cases) }
}

function parseSuite(value: unknown, origin: string): Suite {
  const parsed = suiteSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new GonkaError('ERR_GK_USAGE', `${origin} is not a suite: ${describeIssues(parsed.error)}`)
}

/** Checks a case of unknown origin, as the command line gives it. Throws ERR_GK_USAGE naming every wrong field. */
export function parseCase(value: unknown, origin: string): CaseSpec {
  const parsed = caseSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new GonkaError('ERR_GK_USAGE', `${origin}: ${describeIssues(parsed.error)}`)
}

/** All cases that specs stand for. Throws ERR_GK_USAGE for impossible ones, ERR_GK_PARAMS or ERR_GK_FILE for parameters. */
export async function expandCases(
  specs: readonly CaseSpec[],
  suite: Pick<Suite, 'suite' | 'threads' | 'device'>,
): Promise<BenchCase[]> {
  const out: BenchCase[] = []
  for (const spec of specs) {
    const whole = { ...spec, threads: spec.threads ?? suite.threads, device: spec.device ?? suite.device }
    const threadCounts = Array.isArray(whole.threads) ? whole.threads.length : 1
    for (const scalar of combinations(whole)) {
      const problem = await toProblem(scalar as ScalarCase)
      const { label, threads, device } = scalar
      const suffix = threadCounts > 1 ? ` t${threads}` : ''
      out.push({
        suite: suite.suite,
        name: caseName(problem, label) + suffix,
        problem,
        ...(threads === undefined ? {} : { threads }),
        ...(device === undefined ? {} : { device }),
      })
      if (out.length > mostCases)
        throw new GonkaError('ERR_GK_USAGE', `suite ${suite.suite} stands for more than ${mostCases} cases`)
    }
  }
  return out
}

/** Each name once: a suite may come in by several ways. */
export function uniqueCases(cases: readonly BenchCase[]): BenchCase[] {
  return [...new Map(cases.map((one) => [one.name, one])).values()]
}

function combinations(spec: CaseSpec): ScalarCase[] {
  let out: Record<string, unknown>[] = [{}]
  for (const [key, value] of Object.entries(spec)) {
    const values = Array.isArray(value) ? value : [value]
    if (out.length * values.length > mostCases)
      throw new GonkaError('ERR_GK_USAGE', `one case stands for more than ${mostCases} combinations`)
    out = out.flatMap((partial) => values.map((one) => ({ ...partial, [key]: one })))
  }
  return out as ScalarCase[]
}

async function toProblem(spec: ScalarCase): Promise<CaseProblem> {
  switch (spec.op) {
    case 'gemm': {
      const { op, m, n, k, type, packed = true, accumulation = 'f32' } = spec
      if (accumulation === 'short' && !type.startsWith('f8'))
        throw new GonkaError('ERR_GK_USAGE', `gemm: accumulation short is for f8_e4m3 and f8_e5m2, not for ${type}`)
      const dType: DtypeName = type === 'i8' ? 'i32' : 'f32'
      return { op, m, n, k, aType: type, bType: type, dType, packed, accumulation }
    }
    case 'attention': {
      const { op, seqlen, heads: numHeads, head_dim: headDim, causal = false, batch = 1, type } = spec
      const numHeadsKv = spec.heads_kv ?? numHeads
      if (numHeads % numHeadsKv !== 0)
        throw new GonkaError(
          'ERR_GK_USAGE',
          `attention: ${numHeads} heads are not a multiple of ${numHeadsKv} kv heads`,
        )
      const seqlenK = spec.seqlen_k ?? seqlen
      return { op, batch, seqlenQ: seqlen, seqlenK, numHeads, numHeadsKv, headDim, causal, type }
    }
    case 'sha256_search':
      return { op: spec.op, nonces: spec.nonces ?? 2 ** 20 }
    case 'normal_fill': {
      const { op, generator, rows, columns, type: outType } = spec
      return { op, generator, rows, columns, outType }
    }
    case 'rope': {
      const { op, rows, heads: numHeads, head_dim: headDim, type } = spec
      return { op, rows, numHeads, headDim, type }
    }
    case 'gather': {
      const { op, rows, columns, type, out_type: outType = type } = spec
      return { op, rows, columns, type, outType }
    }
    case 'matmul_pow': {
      const { op, profile = 'i8', m, n, k } = spec
      return { op, profile, m, n, k }
    }
    case 'poc_v1': {
      const { op, params: paramsName = 'default', batch } = spec
      const params = await loadParams(paramsName)
      return { op, paramsName, params, ...(batch === undefined ? {} : { batch }) }
    }
    default: {
      const { op, rows, columns, type } = spec
      return { op, rows, columns, type }
    }
  }
}
