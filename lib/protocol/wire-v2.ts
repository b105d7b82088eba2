// Bodies of the PoC v2 routes, as a network node sends them to an ML node. Field names are the wire's.
//
// Leniency follows the reference: unknown fields are ignored except inside `params`, integers may come as integral
// floats or decimal strings, null stands for an absent optional.

import { z } from 'zod'

export const maxNonce = 2 ** 31 - 1

/** An integer in [min, max]; also accepted: "12" and 12.0. */
export function wireInteger(min: number, max: number) {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^[+-]?\d{1,16}$/.test(value) ? Number(value) : value),
    z.number().int().min(min).max(max),
  )
}

function optional<T extends z.ZodType>(schema: T) {
  return z.preprocess((value) => (value === null ? undefined : value), schema.optional())
}

/** undefined and null become the default. */
function defaulted<T extends z.ZodType, D>(schema: T, value: D) {
  return z.preprocess((given) => given ?? value, schema)
}

const text = (max: number) => z.string().max(max)
const callbackUrl = optional(text(4096))

export const pocParamsSchema = z.strictObject({
  model: text(512).min(1),
  seq_len: wireInteger(1, 2 ** 20),
  k_dim: defaulted(wireInteger(1, 4096), 12),
  scheme: optional(text(32)),
  decode: optional(z.boolean()),
  max_tokens: optional(wireInteger(0, 2 ** 20)),
})

const jobFields = {
  /** Opaque: hashed as it stands. */
  block_hash: text(1024),
  /** Stage key. */
  block_height: wireInteger(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  /** Hashed as it stands. */
  public_key: text(1024),
  node_id: wireInteger(0, maxNonce),
  node_count: wireInteger(1, maxNonce),
  batch_size: defaulted(wireInteger(0, 100_000), 32),
  params: pocParamsSchema,
  url: callbackUrl,
  poc_stronger_rng: defaulted(z.boolean(), false),
  decode: optional(z.boolean()),
  max_tokens: optional(wireInteger(0, 2 ** 20)),
}

export const initGenerateSchema = z.object({
  ...jobFields,
  /** Only between a node and its replicas. */
  group_id: defaulted(wireInteger(0, 100_000), 0),
  n_groups: defaulted(wireInteger(1, 100_000), 1),
})
export type InitGenerate = z.infer<typeof initGenerateSchema>

const artifactSchema = z.object({
  nonce: wireInteger(0, Number.MAX_SAFE_INTEGER),
  vector_b64: defaulted(text(65_536), ''),
  k_points_steps: optional(z.array(z.number().int()).max(100_000)),
})

const statTestSchema = z.object({
  dist_threshold: defaulted(z.number().nonnegative(), 0.02),
  p_mismatch: defaulted(z.number().gt(0).lt(1), 0.001),
  /** Name the reference node reads. */
  fraud_threshold: optional(z.number().nonnegative()),
  /** Name network nodes send. */
  p_value_threshold: optional(z.number().nonnegative()),
})

export const generateSchema = z.object({
  ...jobFields,
  nonces: z.array(wireInteger(0, Number.MAX_SAFE_INTEGER)).max(1_000_000),
  wait: defaulted(z.boolean(), false),
  validation: optional(z.object({ artifacts: z.array(artifactSchema).max(1_000_000) })),
  stat_test: optional(statTestSchema),
})
export type Generate = z.infer<typeof generateSchema>

/** Which significance applies and under which name it came. */
export function significanceOf(test: z.infer<typeof statTestSchema> | undefined): { value: number; source: string } {
  if (test?.fraud_threshold !== undefined) return { value: test.fraud_threshold, source: 'fraud_threshold' }
  if (test?.p_value_threshold !== undefined) return { value: test.p_value_threshold, source: 'p_value_threshold' }
  return { value: 0.01, source: 'default' }
}

/** True if the request wants the decode scheme, by any of the names in use. */
export function wantsDecode(request: {
  readonly params: z.infer<typeof pocParamsSchema>
  readonly decode?: boolean | undefined
  readonly max_tokens?: number | undefined
}): boolean {
  const { params } = request
  return (
    request.decode === true ||
    params.decode === true ||
    (request.max_tokens ?? 0) > 0 ||
    (params.max_tokens ?? 0) > 0 ||
    (params.scheme !== undefined && !/^(poc_scheme_)?prefill$/i.test(params.scheme))
  )
}

export interface WireArtifact {
  readonly nonce: number
  readonly vector_b64: string
}

/** How vectors are encoded; network nodes ignore it. */
export const encodingOf = (kDim: number) => ({ dtype: 'f16', k_dim: kDim, endian: 'le' }) as const

/** Body of POST {url}/generated. */
export interface GeneratedBody {
  readonly block_hash: string
  readonly block_height: number
  readonly public_key: string
  readonly node_id: number
  readonly artifacts: readonly WireArtifact[]
  readonly encoding: ReturnType<typeof encodingOf>
  readonly request_id: string
}

/** Body of POST {url}/validated. */
export interface ValidatedBody {
  readonly request_id: string
  readonly block_hash: string
  readonly block_height: number
  readonly public_key: string
  readonly node_id: number
  readonly n_total: number
  readonly n_mismatch: number
  readonly mismatch_nonces: readonly number[]
  readonly p_value: number
  readonly fraud_detected: boolean
  readonly n_excluded: number
  readonly excluded_nonces: readonly number[]
}

/** One entry of a 422 answer, in the reference's form. */
export interface BodyProblem {
  readonly type: string
  readonly loc: readonly (string | number)[]
  readonly msg: string
}

/** Checks a body; the problems name the path of every mistake, never the values. */
export function parseBody<T>(
  schema: z.ZodType<T>,
  body: unknown,
): { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: BodyProblem[] } {
  const parsed = schema.safeParse(body)
  if (parsed.success) return { ok: true, value: parsed.data }
  const problems = parsed.error.issues.map((issue) => {
    const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))
    const missing = issue.code === 'invalid_type' && /received undefined/.test(issue.message)
    return {
      type: missing ? 'missing' : issue.code,
      loc: ['body', ...path],
      msg: missing ? 'Field required' : issue.message,
    }
  })
  return { ok: false, problems: problems.slice(0, 20) }
}
