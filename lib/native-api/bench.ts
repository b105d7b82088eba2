/** Problems to time, their sessions, and the measured ceilings of a CPU. */
import type { DtypeName } from './report.ts'

/** A problem to time; the fields of the op's problem struct that matter to speed. Operands are random. */
export type BenchProblem =
  | {
      readonly op: 'gemm'
      readonly m: number
      readonly n: number
      readonly k: number
      readonly aType: DtypeName
      readonly bType: DtypeName
      readonly dType: DtypeName
      /** B packed once, outside the timed region. */
      readonly packed: boolean
      /** short: sums of neighbouring F8 products may be short; f32 if absent. */
      readonly accumulation?: 'f32' | 'short'
    }
  | {
      readonly op: 'attention'
      readonly batch: number
      readonly seqlenQ: number
      readonly seqlenK: number
      readonly numHeads: number
      readonly numHeadsKv: number
      readonly headDim: number
      readonly causal: boolean
      readonly type: DtypeName
    }
  /** One nonce under a target that no ticket meets: operands, products, folds and tickets. */
  | {
      readonly op: 'matmul_pow'
      readonly profile: 'i8' | 'i4'
      readonly m: number
      readonly n: number
      readonly k: number
    }
  | { readonly op: 'sha256_search'; readonly nonces: number }
  | {
      readonly op: 'normal_fill'
      readonly generator: 'murmur3' | 'pcg64'
      readonly rows: number
      readonly columns: number
      readonly outType: DtypeName
    }
  | {
      readonly op: 'rms_norm' | 'silu_mul' | 'householder' | 'l2_normalize' | 'permuted_distance'
      readonly rows: number
      readonly columns: number
      readonly type: DtypeName
    }
  /** Rows are tokens; the halves layout. */
  | {
      readonly op: 'rope'
      readonly rows: number
      readonly numHeads: number
      readonly headDim: number
      readonly type: DtypeName
    }
  /** Rows as they lie, converted from one format to the other. */
  | {
      readonly op: 'gather'
      readonly rows: number
      readonly columns: number
      readonly type: DtypeName
      readonly outType: DtypeName
    }

export interface BenchOpenRequest {
  readonly problem: BenchProblem
  /** The backend's best if absent. */
  readonly implementation?: string
}

export interface BenchRequest extends BenchOpenRequest {
  readonly samples: number
  readonly seconds: number
}

export interface BenchResult extends Pick<BenchSession, 'implementation' | 'operations' | 'unit' | 'bytes'> {
  /** Wall time of each timed call, nanoseconds, in order. */
  readonly samplesNs: Float64Array
}

/** What ends a series of timed calls, whichever comes first; at least one call is made, or two pairs. */
export interface BenchLimits {
  /** Timed calls or pairs of calls. */
  readonly samples: number
  readonly seconds: number
  /** Other data is put into the caches before every call. */
  readonly cold: boolean
}

export interface BenchWarmUp {
  readonly calls: number
  readonly seconds: number
  /** Medians of the last three windows lie within 2 % of each other; false: they did not within the time. */
  readonly stable: boolean
}

/** Calls of two sessions in turn. */
export interface BenchPairs {
  /** Wall time of each call of pair i, nanoseconds. Pairs 2i and 2i + 1 have opposite order. */
  readonly ownNs: Float64Array
  readonly otherNs: Float64Array
  /** 1 where the other was called first in pair i. */
  readonly otherFirst: Uint8Array
  /** Calls thrown away because the scheduler gave the processor to another program during them. */
  readonly repeated: number
  /** Kept ones during which it did: no repetition stayed alone. */
  readonly interrupted: number
}

/** A problem with its operands on a device, ready to be timed. Calls of one session queue behind each other. */
export interface BenchSession {
  /** That runs. "cpu:<name>" if the op falls back to the host. */
  readonly implementation: string
  /** Of one call, counted in `unit`; a multiply-accumulate counts as 2. */
  readonly operations: number
  /** "flop", "op" (of integers), "hash" or "value". */
  readonly unit: string
  /** What a call must at least read and write. */
  readonly bytes: number
  /** What the operands take on the device, without packed copies. */
  readonly operandBytes: number
  /** Calls the op until its time is steady or `seconds` have passed; at least twice. */
  warm(seconds: number, signal?: AbortSignal): Promise<BenchWarmUp>
  /** Wall time of each timed call, nanoseconds, in order. */
  run(limits: BenchLimits, signal?: AbortSignal): Promise<Float64Array>
  /** seed (an integer from 0) draws which of the two begins. */
  runPairs(
    other: BenchSession,
    limits: BenchLimits & { readonly seed: number },
    signal?: AbortSignal,
  ): Promise<BenchPairs>
  /** Frees the operands. A call in progress is cancelled first. Closing twice is harmless. */
  close(): Promise<void>
}

/** Measured ceilings of this machine's CPU, from register-only loops and a copy; all threads of the device together. */
export interface CpuPeak {
  readonly threads: number
  readonly f32Gflops: number
  /** 0 where the CPU has no such instructions. */
  readonly bf16Gflops: number
  readonly i8Gops: number
  /** SHA-256 blocks by the SHA instructions, 10^6 per second; 0 likewise. */
  readonly shaMblocksPerS: number
  /** Read plus written, 10^9 bytes per second. */
  readonly copyGbPerS: number
  /** Of one processor at work, by a chain of multiplications of known length; 0 where that is not known. */
  readonly clockGhz: number
}
