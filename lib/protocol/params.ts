/** Parameters of the PoC v1 model: the published sets, files, and what follows from the numbers. */
import { z } from 'zod'
import { GonkaError } from '../errors.ts'
import type { PocV1Params } from '../native-api.ts'

/** Published sets. Source: the public reference's Params(), PARAMS_V1 and PARAMS_V2. */
export const namedParams = {
  default: {
    dim: 2048,
    n_layers: 16,
    n_heads: 16,
    n_kv_heads: 16,
    vocab_size: 8192,
    ffn_dim_multiplier: 1.3,
    multiple_of: 1024,
    norm_eps: 1e-5,
    rope_theta: 500000,
    use_scaled_rope: false,
    seq_len: 16,
  },
  v1: {
    dim: 1024,
    n_layers: 32,
    n_heads: 32,
    n_kv_heads: 32,
    vocab_size: 8196,
    ffn_dim_multiplier: 10,
    multiple_of: 2048,
    norm_eps: 1e-5,
    rope_theta: 10000,
    use_scaled_rope: false,
    seq_len: 128,
  },
  v2: {
    dim: 1792,
    n_layers: 64,
    n_heads: 64,
    n_kv_heads: 64,
    vocab_size: 8196,
    ffn_dim_multiplier: 10,
    multiple_of: 8192,
    norm_eps: 1e-5,
    rope_theta: 10000,
    use_scaled_rope: false,
    seq_len: 256,
  },
} as const satisfies Record<string, PocV1Params>

export type ParamsName = keyof typeof namedParams

/** The fields in their published order. */
export const paramsFields = Object.keys(namedParams.default) as readonly (keyof PocV1Params)[]

/** The engine's limits; it applies the same ones again. */
const maxExtent = 2 ** 24
const maxParameterCount = 2 ** 46

const extent = z.number().int().min(1).max(maxExtent)

export const pocV1ParamsSchema = z
  .strictObject({
    dim: extent,
    n_layers: extent,
    n_heads: extent,
    n_kv_heads: extent,
    vocab_size: extent,
    ffn_dim_multiplier: z.number().positive().max(1024),
    multiple_of: extent,
    norm_eps: z.number().min(0).max(1),
    rope_theta: z.number().min(1).max(1e12),
    use_scaled_rope: z.boolean(),
    seq_len: extent,
  })
  .superRefine((params, context) => {
    const problem = relationProblem(params)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  })

function relationProblem(params: PocV1Params): string | undefined {
  const { dim, n_heads, n_kv_heads } = params
  if (dim % n_heads !== 0) return `dim ${dim} is not a multiple of n_heads ${n_heads}`
  if ((dim / n_heads) % 2 !== 0) return `head_dim ${dim / n_heads} (dim / n_heads) is odd; rotation needs pairs`
  if (n_heads % n_kv_heads !== 0) return `n_heads ${n_heads} is not a multiple of n_kv_heads ${n_kv_heads}`
  if (ffnHidden(params) < 1) return 'ffn_dim_multiplier gives a feed-forward width of 0'
  const count = parameterCount(params)
  if (count > maxParameterCount) return `the model has ${count.toPrecision(4)} weights; at most 2^46 are supported`
  return undefined
}

/** Width of the feed-forward layer: floor(8 dim / 3), times the multiplier, truncated, rounded up to multiple_of. */
export function ffnHidden(params: PocV1Params): number {
  const base = Math.floor((8 * params.dim) / 3)
  return Math.ceil(Math.trunc(params.ffn_dim_multiplier * base) / params.multiple_of) * params.multiple_of
}

/** Number of weights, the unused token embedding included. */
export function parameterCount(params: PocV1Params): number {
  const { dim, n_layers, n_heads, n_kv_heads, vocab_size } = params
  const kv = (dim / n_heads) * n_kv_heads
  const layer = 2 * dim * dim + 2 * dim * kv + 3 * dim * ffnHidden(params) + 2 * dim
  return 2 * vocab_size * dim + dim + n_layers * layer
}

/** Checks a value of unknown origin. Throws ERR_GK_PARAMS, naming every wrong, missing or unknown field. */
export function parseParams(value: unknown, origin: string): PocV1Params {
  const parsed = pocV1ParamsSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new GonkaError('ERR_GK_PARAMS', `${origin}: ${describeIssues(parsed.error)}`)
}

/** One line for all issues of a schema error: "dim: expected ..., unknown field \"dimm\"". */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .slice(0, 8)
    .map((issue) => {
      if (issue.code === 'unrecognized_keys') {
        return `unknown field ${issue.keys
          .slice(0, 8)
          .map((key) => JSON.stringify(key.slice(0, 64)))
          .join(', ')}`
      }
      const path = issue.path.join('.')
      return path === '' ? issue.message : `${path}: ${issue.message}`
    })
    .join('; ')
}

/** Name of the published set with these numbers, or undefined. */
export function paramsName(params: PocV1Params): ParamsName | undefined {
  return (Object.keys(namedParams) as ParamsName[]).find((name) =>
    paramsFields.every((field) => namedParams[name][field] === params[field]),
  )
}

/** Longest parameter file accepted, bytes. */
const fileLimit = 64 * 1024

/** A published set by name, or a JSON file with exactly the published fields. Throws ERR_GK_PARAMS or ERR_GK_FILE. */
export async function loadParams(nameOrFile: string): Promise<PocV1Params> {
  if (Object.hasOwn(namedParams, nameOrFile)) return namedParams[nameOrFile as ParamsName]
  const { readJson } = await import('../files.ts')
  try {
    return parseParams(await readJson(nameOrFile, fileLimit), nameOrFile)
  } catch (error) {
    if (error instanceof GonkaError && error.code === 'ERR_GK_FILE' && !/[./]/.test(nameOrFile)) {
      throw new GonkaError(
        'ERR_GK_PARAMS',
        `${JSON.stringify(nameOrFile)} is neither a parameter set (${Object.keys(namedParams).join(', ')}) nor a readable file`,
      )
    }
    throw error
  }
}
