/** What `bench` measures unless told otherwise: shapes as data. */
import type { BenchProblem, DtypeName } from '../native-api.ts'

export const suiteNames = ['gemm', 'attention', 'sha256', 'normals', 'matmul-pow', 'poc-v1'] as const
export type SuiteName = (typeof suiteNames)[number]

export type BenchCase =
  | { readonly suite: SuiteName; readonly name: string; readonly problem: BenchProblem }
  /** Whole rounds of PoC v1 with the default parameters. */
  | { readonly suite: 'poc-v1'; readonly name: string; readonly problem?: undefined }

function gemm(
  m: number,
  n: number,
  k: number,
  type: DtypeName,
  dType: DtypeName,
  packed: boolean,
  suite: SuiteName = 'gemm',
): BenchCase {
  return {
    suite,
    name: `gemm ${m}x${n}x${k} ${type}${packed ? ' packed' : ''}`,
    problem: { op: 'gemm', m, n, k, aType: type, bType: type, dType, packed },
  }
}

function attention(seqlen: number, headDim: number, type: DtypeName, causal: boolean): BenchCase {
  return {
    suite: 'attention',
    name: `attention ${seqlen} d${headDim} ${type}${causal ? ' causal' : ''}`,
    problem: {
      op: 'attention',
      batch: 1,
      seqlenQ: seqlen,
      seqlenK: seqlen,
      numHeads: 8,
      numHeadsKv: 8,
      headDim,
      causal,
      type,
    },
  }
}

/** A nonce of matmul-pow beside the gemm of its shape: what tickets cost. */
function matmulPow(m: number, n: number, k: number): BenchCase[] {
  const nonce = (profile: 'i8' | 'i4'): BenchCase => ({
    suite: 'matmul-pow',
    name: `matmul-pow ${m}x${n}x${k} ${profile}`,
    problem: { op: 'matmul_pow', profile, m, n, k },
  })
  return [gemm(m, n, k, 'i8', 'i32', true, 'matmul-pow'), nonce('i8'), nonce('i4')]
}

export const benchCases: readonly BenchCase[] = [
  gemm(1024, 1024, 1024, 'f32', 'f32', true),
  gemm(1024, 1024, 1024, 'bf16', 'f32', true),
  gemm(1024, 1024, 1024, 'i8', 'i32', true),
  gemm(1024, 1024, 1024, 'f32', 'f32', false),
  gemm(16, 4096, 4096, 'f32', 'f32', true),
  attention(1024, 128, 'f32', false),
  attention(1024, 128, 'f16', true),
  attention(1024, 64, 'f16', false),
  { suite: 'sha256', name: 'double SHA-256 of headers', problem: { op: 'sha256_search', nonces: 2 ** 20 } },
  {
    suite: 'normals',
    name: 'murmur3 + Box-Muller f32',
    problem: { op: 'normal_fill', generator: 'murmur3', rows: 16, columns: 65536, outType: 'f32' },
  },
  {
    suite: 'normals',
    name: 'PCG64 + ziggurat f16',
    problem: { op: 'normal_fill', generator: 'pcg64', rows: 16, columns: 65536, outType: 'f16' },
  },
  ...matmulPow(2048, 2048, 4096),
  { suite: 'poc-v1', name: 'PoC v1 default params' },
]
