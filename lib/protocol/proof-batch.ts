/** ProofBatch of PoC v1, as miners sent it to their network node. Source: gonka-network specification 3.4. */
import { z } from 'zod'
import { GonkaError } from '../errors.ts'
import { readJson } from '../files.ts'
import { describeIssues } from './params.ts'
import { maxNonce } from './partition.ts'

export interface ProofBatch {
  readonly publicKey: string
  readonly blockHash: string
  readonly blockHeight: number
  readonly nonces: BigInt64Array
  /** As many as nonces. */
  readonly dist: Float64Array
  readonly nodeId: number
}

const fileLimit = 256 * 1024 * 1024
const maxNonces = 4_194_304

const schema = z
  .strictObject({
    public_key: z.string().max(1024),
    block_hash: z.string().max(1024),
    block_height: z.number().int().min(0),
    nonces: z.array(z.number().int().min(0).max(Number(maxNonce))).max(maxNonces),
    dist: z.array(z.number()).max(maxNonces),
    node_id: z.number().int().min(-1),
  })
  .superRefine(({ nonces, dist }, context) => {
    if (nonces.length !== dist.length) {
      context.addIssue({ code: 'custom', message: `${nonces.length} nonces but ${dist.length} distances` })
    }
    if (new Set(nonces).size !== nonces.length) context.addIssue({ code: 'custom', message: 'a nonce is listed twice' })
  })

/** Throws ERR_GK_BATCH, naming what is wrong. */
export function parseProofBatch(value: unknown, origin: string): ProofBatch {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new GonkaError('ERR_GK_BATCH', `${origin}: ${describeIssues(parsed.error)}`)
  const { public_key, block_hash, block_height, nonces, dist, node_id } = parsed.data
  return {
    publicKey: public_key,
    blockHash: block_hash,
    blockHeight: block_height,
    nonces: BigInt64Array.from(nonces, BigInt),
    dist: Float64Array.from(dist),
    nodeId: node_id,
  }
}

export async function loadProofBatch(path: string): Promise<ProofBatch> {
  return parseProofBatch(await readJson(path, fileLimit), path)
}
