/** Models of PoC v1 and v2 on a device, their runs, and small random models. */

/** Parameters of the PoC v1 model under their published names. */
export interface PocV1Params {
  readonly dim: number
  readonly n_layers: number
  readonly n_heads: number
  readonly n_kv_heads: number
  readonly vocab_size: number
  readonly ffn_dim_multiplier: number
  readonly multiple_of: number
  readonly norm_eps: number
  readonly rope_theta: number
  readonly use_scaled_rope: boolean
  readonly seq_len: number
}

export interface PocV1OpenRequest {
  readonly params: PocV1Params
  readonly blockHash: string
  /** All parameters, f16 little-endian, in parameter order; derived from the block hash if absent. */
  readonly weights?: Uint8Array
}

export interface PocV1RunRequest {
  /** Hashed into seeds as it stands. */
  readonly publicKey: string
  readonly nonces: BigInt64Array
  /** Nonces per forward pass; the engine's choice if absent. Does not change the distances beyond their tolerance. */
  readonly batch?: number
  /** Only nonces with dist < rTarget are reported. */
  readonly rTarget?: number
}

export interface PocV1Stats {
  readonly computed: number
  /** Reported to onBatch. */
  readonly kept: number
  readonly batches: number
  readonly seconds: number
}

/** An initialised PoC v1 model on a device: one block hash, any number of runs, one at a time. */
export interface PocV1Session {
  readonly parameterCount: number
  readonly memoryBytes: number
  readonly initSeconds: number
  /** Arithmetic of the forward pass: decides the tolerance under which others' distances are compared. */
  readonly compute: 'f32' | 'f16'
  /** Implementation that runs each op, for the record: "gemm=avx512 attention=avx512 ...". */
  readonly implementation: string
  /** Nonces per forward pass that run() takes where its request names none. */
  readonly defaultBatch: number
  /**
   * Computes distances in the order of request.nonces. onBatch gets each batch as it is done: equally long arrays, empty
   * if rTarget left nothing, and how many nonces the batch computed.
   */
  run(
    request: PocV1RunRequest,
    onBatch: (nonces: BigInt64Array, dist: Float64Array, computed: number) => void,
    signal?: AbortSignal,
  ): Promise<PocV1Stats>
  /** Frees the model. A run in progress is cancelled first. Closing twice is harmless. */
  close(): Promise<void>
}

/** How PoC v2 fills its inputs: one seed, or eight that each fill a segment (the network's "stronger rng"). */
export type PocV2Rng = 'murmur' | 'concat-murmur'

export interface PocV2OpenRequest {
  /** A Hugging Face directory: config.json with model.safetensors, or with shards and their index. */
  readonly model: string
  /** Arithmetic of the matrix products; the model's own type if absent. */
  readonly compute?: 'f32'
}

export interface PocV2RunRequest {
  /** Both are hashed into seeds as they stand. */
  readonly blockHash: string
  readonly publicKey: string
  readonly nonces: BigInt64Array
  readonly seqLen: number
  /** Values of a vector. */
  readonly kDim: number
  readonly rng: PocV2Rng
  /** Nonces per forward pass; the engine's choice if absent. */
  readonly batch?: number
}

export interface PocV2Stats {
  readonly computed: number
  /** Artifacts made: nonces without a NaN. */
  readonly kept: number
  readonly batches: number
  readonly seconds: number
}

/** A loaded PoC v2 model on a device: any number of runs, one at a time. */
export interface PocV2Session {
  /** As config.json names it: "Qwen3ForCausalLM". */
  readonly architecture: string
  readonly hiddenSize: number
  readonly layers: number
  /** The model's own type, to which inputs are rounded. */
  readonly dtype: 'f32' | 'f16' | 'bf16'
  /** Arithmetic of the matrix products. */
  readonly compute: 'f32' | 'f16' | 'bf16'
  readonly weightBytes: number
  readonly initSeconds: number
  /** Implementation that runs each op, for the record: "gemm=avx512bf16 attention=avx512 ...". */
  readonly implementation: string
  /** Nonces per forward pass that run() takes where its request names none. */
  defaultBatch(seqLen: number): number
  /**
   * Computes artifacts in the order of request.nonces. onBatch gets each batch as it is done: its nonces, their vectors one
   * after the other (fp16 little-endian, 2 kDim bytes each), and how many nonces it computed; one that ends in a NaN is
   * left out. onTrace gets, per nonce, the last token's residual stream after every layer and its reflection
   * [layers, hiddenSize] and the last hidden state; tracing computes the last layer for all tokens and is slower.
   */
  run(
    request: PocV2RunRequest,
    onBatch: (nonces: BigInt64Array, vectors: Uint8Array, computed: number) => void,
    signal?: AbortSignal,
    onTrace?: (nonce: bigint, stream: Float32Array, lastHidden: Float32Array) => void,
  ): Promise<PocV2Stats>
  /** Frees the model. A run in progress is cancelled first. Closing twice is harmless. */
  close(): Promise<void>
}

export interface TinyModelRequest {
  /** Must exist and hold no model. */
  readonly directory: string
  /** "llama", "mistral", "qwen2", "qwen3", "qwen3-moe"; empty: the preset's. */
  readonly family: string
  /** "qwen3-0.6b", "llama-3.2-1b"; a few hundred kilobytes if absent. */
  readonly preset?: string
  readonly seed: number
}

export interface TinyModelFiles {
  readonly configPath: string
  readonly weightsPath: string
  readonly parameters: number
  readonly bytes: number
}
