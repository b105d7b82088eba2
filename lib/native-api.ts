/**
 * What the addon offers to the rest of lib/. lib/native.ts loads the addon and returns this interface; nothing else in
 * lib/ knows that there is an addon. Types only.
 *
 * Rules that hold everywhere
 *   Errors    wrong JavaScript types throw TypeError at once; everything else rejects (or throws, where the call is
 *             synchronous) with a GonkaError whose code is ERR_GK_<status of gonka_backend.h>.
 *   Abort     a call that takes a signal stops within one batch or one sample and rejects with ERR_GK_CANCELLED.
 *   Threads   long work runs on the addon's own threads; callbacks arrive on the JavaScript thread that made the call.
 *   Numbers   sizes and counts are numbers (< 2^53); nonces are bigint, 0 .. 2^53 - 1.
 *   Buffers   the addon reads what it is given during the call only, and hands out arrays that belong to the caller.
 */

export const opNames = [
  'gemm',
  'attention',
  'matmul_pow',
  'sha256_search',
  'normal_fill',
  'rms_norm',
  'rope',
  'silu_mul',
  'householder',
  'gather',
  'l2_normalize',
  'permuted_distance',
] as const
/** Lower-case name of a gk_op. */
export type OpName = (typeof opNames)[number]

/** Lower-case name of a gk_dtype. */
export type DtypeName = 'f32' | 'f16' | 'bf16' | 'i8' | 'i32' | 'f8_e4m3' | 'f8_e5m2' | 'f64'

export interface NativeVersion {
  /** Version of the package the addon was built for. */
  readonly package: string
  /** GK_ABI_MAJOR.GK_ABI_MINOR, as "1.0". */
  readonly abi: string
}

/** A backend library the registry tried, whether it loaded or not. */
export interface BackendReport {
  /** "cpu", "cuda"; the file's name without extension where loading failed before the name was known. */
  readonly name: string
  readonly version: string
  /** null for the CPU backend, which is part of the addon. */
  readonly path: string | null
  /** SHA-256 of the library file (of the addon file for the CPU backend), hex; empty if the file cannot be read. */
  readonly sha256: string
  readonly abi: string
  /** Devices found; 0 where loading failed. */
  readonly devices: number
  /** Why the library is not usable, or why it offers no device; null if there is nothing to say. */
  readonly error: string | null
}

export interface ImplementationReport {
  /** "avx512", "ref", ... */
  readonly name: string
  /** Would run the representative problem of the op. */
  readonly accepted: boolean
  /** Why not: the backend's words, or the self-test case that failed. Empty if accepted. */
  readonly reason: string
  /** Disabled by the self-test gate. */
  readonly disabled: boolean
}

export interface DeviceReport {
  /** "<backend>:<index>", as "cpu:0": what --device takes. */
  readonly id: string
  readonly backend: string
  readonly name: string
  readonly arch: string
  /** Empty if none. */
  readonly driver: string
  readonly uniqueId: string
  readonly memoryBytes: number
  readonly memoryFreeBytes: number
  /** Cores, SMs. */
  readonly computeUnits: number
  /** Worker threads of a CPU device; 0 otherwise. */
  readonly threads: number
  /** null where the backend reads no sensors or could not. */
  readonly telemetry: Telemetry | null
  /** Why there is none; empty if there is. */
  readonly noTelemetry: string
  /** Formats gemm multiplies, with significand bits (value bits for integers) of the accumulator. */
  readonly formats: readonly { readonly dtype: DtypeName; readonly accumulatorBits: number }[]
  /** In the order in which they are tried. An op without entry runs on the host CPU through copies. */
  readonly implementations: Readonly<Partial<Record<OpName, readonly ImplementationReport[]>>>
}

export const throttleReasons = ['idle', 'setting', 'power', 'temperature', 'hardware', 'other'] as const
export type ThrottleReason = (typeof throttleReasons)[number]

/** What a device's sensors and its driver say at one moment; null where they do not tell. */
export interface Telemetry {
  readonly name: string
  readonly uuid: string
  /** "00000000:1B:00.0". */
  readonly pci: string
  readonly driver: string
  /** Who was asked: "NVML 12.570.86.15". */
  readonly source: string
  readonly temperatureC: number | null
  readonly powerW: number | null
  readonly powerLimitW: number | null
  /** Joules since a moment that stays the same while the driver is loaded; never decreases. */
  readonly energyJ: number | null
  readonly coreClockMhz: number | null
  readonly memoryClockMhz: number | null
  readonly coreClockLimitMhz: number | null
  readonly memoryClockLimitMhz: number | null
  /** Why the clocks are not at their limit; empty: they are. */
  readonly throttle: readonly ThrottleReason[] | null
  /** Since the driver was loaded. */
  readonly eccCorrected: number | null
  readonly eccUncorrected: number | null
  /** Driver error events (NVIDIA: XID) since this process first asked, and the number of the last one. */
  readonly xidCount: number | null
  readonly lastXid: number | null
  readonly utilizationPercent: number | null
  readonly memoryTotalBytes: number | null
  /** Of all processes. */
  readonly memoryUsedBytes: number | null
  readonly processCount: number | null
  /** The first 32. */
  readonly processes: readonly { readonly pid: number; readonly memoryBytes: number | null }[] | null
  /** Why figures are null: "energy: Not Supported; ...". Empty if none is. */
  readonly missing: string
}

/** One known answer of one implementation: the self-test gate, or a case of the conformance suite. */
export interface CheckResult {
  readonly op: OpName
  readonly implementation: string
  readonly case: string
  readonly status: 'pass' | 'fail' | 'skip'
  /** Why it failed or was skipped, with values; empty on pass. */
  readonly detail: string
  /** Aggregate (normwise relative) error; null where the op is exact or nothing ran. */
  readonly aggregateError: number | null
  /** Largest elementwise error as a multiple of the tolerance of its element (1 = at the limit); null likewise. */
  readonly elementError: number | null
}

export interface CheckSummary {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export interface ConformanceRequest {
  readonly op?: OpName
  /** Name as in ImplementationReport. */
  readonly implementation?: string
  /** Also the slow cases. */
  readonly full?: boolean
  /** Begins the command that failures print for repeating just them; "gonka-miner conformance" if absent. */
  readonly command?: string
}

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

/** An open device. Calls on one device queue behind each other. */
export interface NativeDevice {
  readonly id: string
  /** As devices() reports it, with the threads this handle was opened with. */
  report(): Promise<DeviceReport>
  /** The library the device belongs to. */
  readonly backend: BackendReport
  /** Every known answer of the self-test gate on every implementation. */
  selftest(op: OpName | undefined, onResult: (result: CheckResult) => void, signal?: AbortSignal): Promise<CheckSummary>
  conformance(
    request: ConformanceRequest,
    onResult: (result: CheckResult) => void,
    signal?: AbortSignal,
  ): Promise<CheckSummary>
  /** One session from begin to end: opened, warmed up for at most half of the seconds, timed, closed. */
  bench(request: BenchRequest, signal?: AbortSignal): Promise<BenchResult>
  /** Makes a problem's operands, random, and packs them where asked. */
  benchOpen(request: BenchOpenRequest, signal?: AbortSignal): Promise<BenchSession>
  /**
   * Register-only loops of the CPU device; rejects with ERR_GK_UNSUPPORTED on other backends. Half a second; brief: three
   * repetitions instead of seven.
   */
  cpuPeak(request: { readonly brief: boolean }, signal?: AbortSignal): Promise<CpuPeak>
  /** Builds the model; parallel. onProgress: fraction 0..1 and the step's name, at most some ten times a second. */
  pocV1Open(
    request: PocV1OpenRequest,
    onProgress?: (fraction: number, step: string) => void,
    signal?: AbortSignal,
  ): Promise<PocV1Session>
  /** Loads a model's weights. onProgress as in pocV1Open. */
  pocV2Open(
    request: PocV2OpenRequest,
    onProgress?: (fraction: number, step: string) => void,
    signal?: AbortSignal,
  ): Promise<PocV2Session>
  /** Searches nonces for winning tiles. onShares comes at most some twenty times a second; stops within about 0.1 s. */
  matmulPow(request: MatmulPowRunRequest, onShares: OnShares, signal?: AbortSignal): Promise<MatmulPowStats>
  /** Sensors, read beside work on the device. Rejects with ERR_GK_UNSUPPORTED and the cause where nothing can be read. */
  telemetry(): Promise<Telemetry>
  /** Ops that ran on the host CPU since the device was opened, with how often. */
  fallbacks(): readonly { readonly op: OpName; readonly count: number }[]
  /** Sessions of the device are closed first. Closing twice is harmless. */
  close(): Promise<void>
}

export interface OpenDeviceRequest {
  /** Id as in DeviceReport. */
  readonly device: string
  /** CPU devices: worker threads; all this process may use if absent. */
  readonly threads?: number
  /** Called with a sentence when an implementation is disabled or an op first falls back to the host CPU. */
  readonly onNotice?: (sentence: string) => void
}

/** What a candidate library did when it was used: for a child process, since a faulty library may crash. */
export interface ProbeReport {
  /** Why it does not load; empty if it does. */
  readonly error: string
  readonly name: string
  readonly version: string
  /** Why it offers no device, in its words; empty if it offers some. */
  readonly noDevices: string
  readonly devices: readonly {
    readonly id: string
    readonly name: string
    /** Why it did not open or failed; empty if it works. */
    readonly error: string
    /** Implementations that the self-test disabled. */
    readonly notices: readonly string[]
  }[]
}

export interface NativeApi {
  version(): NativeVersion
  /** Codes the addon gives its errors, in the order of gk_status. */
  readonly statusCodes: readonly string[]
  /** Library files that GONKA_BACKEND_PATH and the addon's folder name; not loaded by themselves. */
  candidates(): readonly string[]
  /** Loads a library, opens its devices and runs gemm's known answers on each, without adding it to backends(). */
  probe(path: string): ProbeReport
  /** CPU features in use, as GONKA_CPU_FEATURES names them, and those found but forced off or not usable. */
  cpuFeatures(): { readonly used: readonly string[]; readonly disabled: readonly string[] }
  /** The linked-in backend, the libraries of the folder beside the addon, and those given to loadBackend. */
  backends(): readonly BackendReport[]
  /**
   * Loads a library into this process and adds its devices. A library that crashes takes the process down: exercise it
   * in a child process first. A library that cannot serve is reported, not thrown. Loading twice is harmless. alias: the
   * name that its devices get in place of the library's own, so that two builds of one backend can be held side by side.
   */
  loadBackend(path: string, alias?: string): BackendReport
  /** Processors this process may use, ascending. */
  allowedCpus(): readonly number[]
  /** Confines all threads of this process to these processors. Throws ERR_GK_INVALID_ARGUMENT if the kernel refuses. */
  pinProcess(cpus: readonly number[]): void
  /**
   * Recomputes single tiles of a matmul-pow job on this machine's CPU: 1 where the tile's ticket wins, else 0. onChecked:
   * how many are done, at most some twenty times a second.
   */
  checkShares(
    request: CheckSharesRequest,
    onChecked?: (done: number) => void,
    signal?: AbortSignal,
  ): Promise<Uint8Array>
  /** Of every device; the first time, the known answers of every op are run on each. */
  devices(): Promise<readonly DeviceReport[]>
  /**
   * Names a model by what it computes: SHA-256 over its configuration and the SHA-256 of every tensor, in hex, however the
   * tensors are spread over files. Reads all weights.
   */
  modelDigest(
    directory: string,
    onProgress?: (fraction: number, step: string) => void,
    signal?: AbortSignal,
  ): Promise<string>
  /** Writes a random but valid model; the same request gives the same bytes everywhere. */
  makeTinyModel(request: TinyModelRequest): Promise<TinyModelFiles>
  openDevice(request: OpenDeviceRequest): Promise<NativeDevice>
}
