/** What a proof says, as typed data, and the checks that need no computation. */
import type { PocV1Params, PocV2Rng } from '../native-api.ts'
import type { MatmulPowJob } from '../protocol/matmul-pow.ts'
import type { Partition } from '../protocol/partition.ts'

/** "With these parameters, block hash and public key, these nonces have these distances." */
export interface PocV1Statement {
  readonly kind: 'poc_v1'
  readonly params: PocV1Params
  readonly blockHash: string
  /** Lower-case hex of the signer's compressed key, as hashed into seeds. */
  readonly publicKey: string
  readonly partition: Partition
  /** If present, only nonces with dist < rTarget are listed. */
  readonly rTarget: number | undefined
  /** Nonces whose distance was computed to find those listed. */
  readonly searched: bigint
  readonly nonces: BigInt64Array
  /** As many as nonces. */
  readonly dist: Float64Array
}

/** "These tiles win under this challenge": a claim about an amount of exact integer products. */
export interface MatmulPowStatement extends MatmulPowJob {
  readonly kind: 'matmul_pow'
  /** A share is (nonces[i], bi[i], bj[i]); there are exactly `shares` of them. */
  readonly nonces: BigUint64Array
  readonly bi: Uint32Array
  readonly bj: Uint32Array
}

/** "The model of this digest gives these vectors for these nonces." */
export interface PocV2Statement {
  readonly kind: 'poc_v2'
  /** 32 bytes, as NativeApi.modelDigest computes it. */
  readonly modelSha256: Uint8Array
  /** As the model's config.json names it. A label: the digest decides. */
  readonly architecture: string
  readonly blockHash: string
  /** Lower-case hex of the signer's compressed key, as hashed into seeds. */
  readonly publicKey: string
  readonly seqLen: number
  readonly kDim: number
  readonly rng: PocV2Rng
  /** Nonces computed; those that ended in a NaN are not listed. */
  readonly searched: bigint
  readonly nonces: BigInt64Array
  /** 2 kDim bytes per nonce: fp16 little-endian. */
  readonly vectors: Uint8Array
}

export type Statement = PocV1Statement | PocV2Statement | MatmulPowStatement

/** What the prover says it ran on: labels, never evidence. */
export interface Environment {
  readonly packageVersion: string
  readonly platform: string
  readonly backend: string
  readonly backendVersion: string
  /** 32 bytes: of the library file, or of the addon for the CPU backend. */
  readonly backendSha256: Uint8Array
  readonly device: string
  readonly deviceName: string
  readonly arch: string
  readonly driver: string
  readonly implementation: string
  readonly threads: number
  /** Arithmetic of the work: decides the tolerance. i32 is exact. */
  readonly compute: 'f32' | 'f16' | 'bf16' | 'i32'
}

export interface Timing {
  readonly startedUnixMs: bigint
  /** Of the computation, without making the model. */
  readonly elapsedNs: bigint
  readonly initNs: bigint
  /** Whose clock this was. The prover's own says nothing about when the work was done. */
  readonly vouchedBy: 'prover'
}

export interface Energy {
  readonly method: string
  /** undefined if and only if method is "not available". */
  readonly joules: number | undefined
}

export const energyNotAvailable: Energy = { method: 'not available', joules: undefined }

export interface Payload<S extends Statement = Statement> {
  readonly statement: S
  readonly environment: Environment
  readonly timing: Timing
  readonly energy: Energy
}

/** Limits of a proof file; larger ones are refused before anything is allocated for them. */
export const limits = {
  fileBytes: 40 * 1024 * 1024,
  artifacts: 2 ** 21,
  blockHashBytes: 1024,
  textBytes: 512,
} as const
