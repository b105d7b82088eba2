/** Payloads for tests: well-formed, with invented distances. */
import { publicKeyOf } from '../../lib/chain/keys.ts'
import {
  energyNotAvailable,
  type MatmulPowStatement,
  type Payload,
  type PocV1Statement,
  type PocV2Statement,
} from '../../lib/proof/payload.ts'
import { encodeVectorBytes } from '../../lib/protocol/artifact-vector.ts'
import { wholePartition } from '../../lib/protocol/partition.ts'

export const privateKey = new Uint8Array(32).fill(7)
export const otherPrivateKey = new Uint8Array(32).fill(8)
export const publicKeyHex = Buffer.from(publicKeyOf(privateKey)).toString('hex')

export const smallParams = {
  dim: 64,
  n_layers: 2,
  n_heads: 4,
  n_kv_heads: 4,
  vocab_size: 128,
  ffn_dim_multiplier: 1.3,
  multiple_of: 32,
  norm_eps: 1e-5,
  rope_theta: 500000,
  use_scaled_rope: false,
  seq_len: 16,
} as const

export const smallStatement: PocV1Statement = {
  kind: 'poc_v1',
  params: smallParams,
  blockHash: 'a3f1a3f1',
  publicKey: publicKeyHex,
  partition: wholePartition,
  rTarget: undefined,
  searched: 3n,
  nonces: BigInt64Array.of(0n, 300n, 2n ** 53n - 1n),
  dist: Float64Array.of(1.41, 1.39, 1.4012345678901235),
}

export const smallPayload: Payload<PocV1Statement> = {
  statement: smallStatement,
  environment: {
    packageVersion: '0.1.0',
    platform: 'linux-x64',
    backend: 'cpu',
    backendVersion: '0.1.0',
    backendSha256: new Uint8Array(32).fill(0xab),
    device: 'cpu:0',
    deviceName: 'a processor',
    arch: 'x86-64 avx2',
    driver: '',
    implementation: 'gemm=avx2',
    threads: 2,
    compute: 'f32',
  },
  timing: { startedUnixMs: 1_790_000_000_000n, elapsedNs: 600_000_000n, initNs: 0n, vouchedBy: 'prover' },
  energy: energyNotAvailable,
}

/** Shares are invented: their tickets do not win. */
export const smallMatmulPow: Payload<MatmulPowStatement> = {
  ...smallPayload,
  environment: { ...smallPayload.environment, compute: 'i32' },
  statement: {
    kind: 'matmul_pow',
    profile: 'i8',
    m: 128,
    n: 64,
    k: 256,
    shares: 3,
    target: new Uint8Array(32).fill(0x10),
    challenge: new Uint8Array(32).fill(0xc4),
    publicKey: publicKeyOf(privateKey),
    nonces: BigUint64Array.of(0n, 2n ** 64n - 1n, 7n),
    bi: Uint32Array.of(1, 0, 1),
    bj: Uint32Array.of(0, 0, 0),
  },
}

export function withStatement(change: Partial<PocV1Statement>): Payload<PocV1Statement> {
  return { ...smallPayload, statement: { ...smallStatement, ...change } }
}

const unit = (at: number) => encodeVectorBytes(Float32Array.from({ length: 4 }, (_, i) => (i === at ? 1 : 0)))
export const smallPocV2: Payload<PocV2Statement> = {
  ...smallPayload,
  statement: {
    kind: 'poc_v2',
    modelSha256: new Uint8Array(32).fill(0xcd),
    architecture: 'Qwen3ForCausalLM',
    blockHash: 'a3f1',
    publicKey: publicKeyHex,
    seqLen: 16,
    kDim: 4,
    rng: 'concat-murmur',
    searched: 3n,
    nonces: BigInt64Array.of(0n, 2n ** 53n - 1n),
    vectors: Uint8Array.from([...unit(0), ...unit(3)]),
  },
}
