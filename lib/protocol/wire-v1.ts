// Bodies of the PoC v1 routes (private networks; the public one no longer uses them). Unknown fields are ignored.

import { z } from 'zod'
import { pocV1ParamsSchema } from './params.ts'
import { wireInteger } from './wire-v2.ts'

const height = wireInteger(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
const nonces = z.array(wireInteger(0, Number.MAX_SAFE_INTEGER)).max(100_000)
const distances = z.array(z.number()).max(100_000)

export const initV1Schema = z.object({
  /** -1: not given; the routes that generate refuse it. */
  node_id: z.preprocess((v) => v ?? -1, wireInteger(-1, 2 ** 31 - 1)),
  node_count: z.preprocess((v) => v ?? -1, wireInteger(-1, 2 ** 31 - 1)),
  block_hash: z.string().max(1024),
  block_height: height,
  public_key: z.string().max(1024),
  batch_size: z.preprocess((v) => v ?? 100, wireInteger(1, 100_000)),
  r_target: z.number(),
  fraud_threshold: z.preprocess((v) => v ?? 1e-7, z.number()),
  params: pocV1ParamsSchema,
  url: z.preprocess((v) => v ?? undefined, z.string().max(4096).optional()),
})
export type InitV1 = z.infer<typeof initV1Schema>

export const proofBatchSchema = z
  .object({
    public_key: z.string().max(1024),
    block_hash: z.string().max(1024),
    block_height: height,
    nonces,
    dist: distances,
    node_id: z.preprocess((v) => v ?? 0, wireInteger(-1, 2 ** 31 - 1)),
  })
  .refine((batch) => batch.nonces.length === batch.dist.length, {
    message: 'nonces and dist must be equally long',
    path: ['dist'],
  })
export type ProofBatch = z.infer<typeof proofBatchSchema>
