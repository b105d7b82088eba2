/**
 * Artifacts of PoC v2 in a file: what `poc v2 --json` prints, and any body of the network's that carries them. Fields that
 * are not named here are ignored.
 */
import { z } from 'zod'
import { GonkaError } from '../errors.ts'
import { readJson } from '../files.ts'
import { decodeVector } from './artifact-vector.ts'
import { describeIssues } from './params.ts'
import { maxNonce } from './partition.ts'

/** Hidden states of one nonce, for finding where two engines part. */
export interface ArtifactTrace {
  readonly nonce: number
  /** Residual stream of the last token after each layer and its reflection. */
  readonly layers: readonly Float32Array[]
  /** After the final norm. */
  readonly lastHidden: Float32Array
}

export interface ArtifactFile {
  readonly artifacts: ReadonlyMap<number, string>
  readonly kDim: number
  readonly blockHash: string | undefined
  readonly publicKey: string | undefined
  readonly seqLen: number | undefined
  readonly rng: 'murmur' | 'concat-murmur' | undefined
  /** Label for people: what computed it. */
  readonly engine: string | undefined
  readonly traces: readonly ArtifactTrace[]
}

const fileLimit = 1024 * 1024 * 1024
const maxArtifacts = 16_777_216

const schema = z.object({
  artifacts: z
    .array(z.object({ nonce: z.number().int().min(0).max(Number(maxNonce)), vector_b64: z.string().max(65_536) }))
    .max(maxArtifacts),
  encoding: z.object({ dtype: z.literal('f16'), k_dim: z.number().int().min(1), endian: z.literal('le') }).optional(),
  block_hash: z.string().max(1024).optional(),
  public_key: z.string().max(1024).optional(),
  params: z.object({ seq_len: z.number().int().min(1) }).optional(),
  rng: z.enum(['murmur', 'concat-murmur']).optional(),
  poc_stronger_rng: z.boolean().optional(),
  engine: z.object({ implementation: z.string(), compute: z.string(), url: z.string() }).partial().optional(),
  traces: z
    .array(
      z.object({
        nonce: z.number().int().min(0),
        layers_f32_b64: z.array(z.string()).max(4096),
        last_hidden_f32_b64: z.string(),
      }),
    )
    .optional(),
})

/** Throws ERR_GK_BATCH, naming what is wrong. */
export function parseArtifactFile(value: unknown, origin: string): ArtifactFile {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new GonkaError('ERR_GK_BATCH', `${origin}: ${describeIssues(parsed.error)}`)
  const { artifacts, encoding, block_hash, public_key, params, rng, poc_stronger_rng, engine, traces } = parsed.data
  const byNonce = new Map(artifacts.map(({ nonce, vector_b64 }) => [nonce, vector_b64]))
  if (byNonce.size !== artifacts.length) throw new GonkaError('ERR_GK_BATCH', `${origin}: a nonce is listed twice`)
  const first = artifacts[0] === undefined ? undefined : decodeVector(artifacts[0].vector_b64)
  return {
    artifacts: byNonce,
    kDim: encoding?.k_dim ?? first?.length ?? 12,
    blockHash: block_hash,
    publicKey: public_key,
    seqLen: params?.seq_len,
    rng: rng ?? (poc_stronger_rng === undefined ? undefined : poc_stronger_rng ? 'concat-murmur' : 'murmur'),
    engine: engine && (engine.url ?? `${engine.compute}, ${engine.implementation}`),
    traces: (traces ?? []).map((trace) => ({
      nonce: trace.nonce,
      layers: trace.layers_f32_b64.map((text) => decodeFloats(text, origin)),
      lastHidden: decodeFloats(trace.last_hidden_f32_b64, origin),
    })),
  }
}

export async function loadArtifactFile(path: string): Promise<ArtifactFile> {
  return parseArtifactFile(await readJson(path, fileLimit), path)
}

/** F32 little-endian in base64. */
export function encodeFloats(values: Float32Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64')
}

function decodeFloats(text: string, origin: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(text, 'base64'))
  if (bytes.length % 4 !== 0) throw new GonkaError('ERR_GK_BATCH', `${origin}: a trace is not whole F32 values`)
  return new Float32Array(bytes.buffer)
}
