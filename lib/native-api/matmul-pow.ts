/** Runs of matmul-pow jobs and checks of their shares. */

/** What is fixed before the first nonce of a matmul-pow job; lib/protocol/matmul-pow.ts has the meaning of the fields. */
export interface MatmulPowRunJob {
  readonly profile: 'i8' | 'i4'
  readonly m: number
  readonly n: number
  readonly k: number
  readonly shares: number
  readonly target: Uint8Array
  readonly challenge: Uint8Array
  readonly publicKey: Uint8Array
}

export interface MatmulPowRunRequest {
  readonly job: MatmulPowRunJob
  /** 0 .. 2^64 - 1. Nonces run one after the other from here. */
  readonly firstNonce: bigint
  readonly nonceCount: number
  /** Distance between two nonces of the run; 1 if absent. Devices share a range by starting apart. */
  readonly nonceStep?: number
  /** Ends after the part of a nonce in which this many shares are reached; all nonces run if absent. */
  readonly stopShares?: number
}

export interface MatmulPowStats {
  /** Finished: each is m / 64 times n / 64 tiles. */
  readonly nonces: number
  /** Of the finished nonces and of the one that was under way. */
  readonly tiles: number
  readonly shares: number
  /** Wall time of the run, without waiting for the device. */
  readonly seconds: number
}

/** Shares found since the last call, in the order of the work, and how many tiles were computed since then. */
export type OnShares = (nonces: BigUint64Array, bi: Uint32Array, bj: Uint32Array, tiles: number) => void

export interface CheckSharesRequest {
  readonly job: MatmulPowRunJob
  /** A share is (nonces[i], bi[i], bj[i]). */
  readonly nonces: BigUint64Array
  readonly bi: Uint32Array
  readonly bj: Uint32Array
  /** As many as this process may use if absent. */
  readonly threads?: number
}
