/** What is measured: a problem of an op, or whole rounds of a proof of compute. */
import type { BenchProblem, CpuPeak, PocV1Params } from '../native-api.ts'
import { ffnHidden } from '../protocol/params.ts'

/** Rounds of PoC v1: one nonce is one operation. */
export interface PocV1Problem {
  readonly op: 'poc_v1'
  /** What the parameters are called; a file's path where they come from one. */
  readonly paramsName: string
  readonly params: PocV1Params
  /** Nonces per forward pass; the engine's choice if absent. */
  readonly batch?: number
}

export type CaseProblem = BenchProblem | PocV1Problem

export interface BenchCase {
  readonly suite: string
  /** Unique within a run; the same problem has the same name in every run. */
  readonly name: string
  readonly problem: CaseProblem
  /** Where the suite asks for a device or a number of threads of its own. */
  readonly device?: string
  readonly threads?: number
}

/** "gemm 1024x1024x1024 f32 packed"; with a label in place of the op's name: "8B decode qkv 1x6144x4096 bf16 packed". */
export function caseName(problem: CaseProblem, label?: string): string {
  return `${label ?? titleOf(problem)} ${sizesOf(problem)}`.trim()
}

function titleOf(problem: CaseProblem): string {
  switch (problem.op) {
    case 'sha256_search':
      return 'double SHA-256 of headers'
    case 'normal_fill':
      return problem.generator === 'murmur3' ? 'murmur3 + Box-Muller' : 'PCG64 + ziggurat'
    case 'gather':
      return problem.type === problem.outType ? 'copy rows' : 'convert rows'
    case 'poc_v1':
      return 'PoC v1'
    default:
      return problem.op
  }
}

function sizesOf(problem: CaseProblem): string {
  switch (problem.op) {
    case 'gemm': {
      const types = problem.aType === problem.bType ? problem.aType : `${problem.aType}*${problem.bType}`
      const flags = `${problem.accumulation === 'short' ? ' short' : ''}${problem.packed ? ' packed' : ''}`
      return `${problem.m}x${problem.n}x${problem.k} ${types}${flags}`
    }
    case 'attention': {
      const { batch, seqlenQ, seqlenK, numHeads, numHeadsKv, headDim, causal, type } = problem
      const lengths = seqlenQ === seqlenK ? `${seqlenQ}` : `${seqlenQ}:${seqlenK}`
      const heads = numHeads === numHeadsKv ? `h${numHeads}` : `h${numHeads}/${numHeadsKv}`
      return `${batch > 1 ? `${batch}x` : ''}${lengths} ${heads} d${headDim} ${type}${causal ? ' causal' : ''}`
    }
    case 'matmul_pow':
      return `${problem.m}x${problem.n}x${problem.k} ${problem.profile}`
    case 'sha256_search':
      return problem.nonces === 2 ** 20 ? '' : `${problem.nonces}`
    case 'normal_fill':
      return `${problem.rows}x${problem.columns} ${problem.outType}`
    case 'gather': {
      const { rows, columns, type, outType } = problem
      return `${rows}x${columns} ${type === outType ? type : `${type} to ${outType}`}`
    }
    case 'rope':
      return `${problem.rows} h${problem.numHeads} d${problem.headDim} ${problem.type}`
    case 'poc_v1':
      return `${problem.paramsName} params${problem.batch === undefined ? '' : ` batch ${problem.batch}`}`
    default:
      return `${problem.rows}x${problem.columns} ${problem.type}`
  }
}

/** What a calibration measured that bounds the arithmetic of a problem, in the problem's operations per second. */
export function computeCeiling(problem: CaseProblem, peak: CpuPeak): number | null {
  const found = (rate: number): number | null => (rate > 0 ? rate * 1e9 : null)
  switch (problem.op) {
    case 'gemm':
      if (problem.aType === 'i8') return found(peak.i8Gops)
      return found(problem.aType === 'bf16' ? peak.bf16Gflops || peak.f32Gflops : peak.f32Gflops)
    case 'attention':
      return found(peak.f32Gflops)
    case 'matmul_pow':
      return found(peak.i8Gops)
    case 'sha256_search':
      // The first block of a header holds no nonce; its second and the second hash are one block each.
      return found(peak.shaMblocksPerS / 2e3)
    case 'poc_v1':
      return found(peak.f32Gflops / flopsPerNonce(problem.params))
    default:
      return null
  }
}

/** Multiplications and additions of the products that a nonce needs, the last layer for the last position only. */
export function flopsPerNonce(params: PocV1Params): number {
  const { dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len } = params
  const kv = (dim / n_heads) * n_kv_heads
  const feedForward = 3 * dim * ffnHidden(params)
  const wholeLayer = seq_len * (2 * dim * dim + 2 * dim * kv + feedForward) + seq_len * (seq_len + 1) * dim
  const lastLayer = seq_len * 2 * dim * kv + 2 * dim * dim + feedForward + 2 * seq_len * dim
  return 2 * ((n_layers - 1) * wholeLayer + lastLayer + vocab_size * dim)
}
