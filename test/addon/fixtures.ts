/** A model small enough for tests of everything but its numbers. */
import type { PocV1Params } from '../../lib/native-api.ts'

export const tinyParams: PocV1Params = {
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
}

/** Takes a second or so per hundred nonces on one core. */
export const smallParams: PocV1Params = {
  ...tinyParams,
  dim: 512,
  n_layers: 4,
  vocab_size: 1024,
  multiple_of: 256,
}

export const blockHash = 'a3f1'.repeat(16)
export const publicKey = `02${'b7c9'.repeat(16)}`

export function nonces(count: number, first = 0): BigInt64Array {
  return BigInt64Array.from({ length: count }, (_, i) => BigInt(first + i))
}
