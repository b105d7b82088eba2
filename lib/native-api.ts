/**
 * What the addon offers to the rest of lib/. lib/native.ts loads the addon and returns this interface; nothing else in
 * lib/ knows that there is an addon.
 *
 * Rules that hold everywhere
 *   Errors    wrong JavaScript types throw TypeError at once; everything else rejects (or throws, where the call is
 *             synchronous) with a GonkaError whose code is ERR_GK_<status of gonka_backend.h>.
 *   Abort     a call that takes a signal stops within one batch or one sample and rejects with ERR_GK_CANCELLED.
 *   Threads   long work runs on the addon's own threads; callbacks arrive on the JavaScript thread that made the call.
 *   Numbers   sizes and counts are numbers (< 2^53); nonces are bigint: of PoC 0 .. 2^53 - 1, of matmul-pow 0 .. 2^64 - 1.
 *   Buffers   the addon reads what it is given during the call only, and hands out arrays that belong to the caller.
 */
import type { BenchOpenRequest, BenchRequest, BenchResult, BenchSession, CpuPeak } from './native-api/bench.ts'
import type { CheckSharesRequest, MatmulPowRunRequest, MatmulPowStats, OnShares } from './native-api/matmul-pow.ts'
import type {
  PocV1OpenRequest,
  PocV1Session,
  PocV2OpenRequest,
  PocV2Session,
  TinyModelFiles,
  TinyModelRequest,
} from './native-api/poc.ts'
import type {
  BackendReport,
  CheckResult,
  CheckSummary,
  ConformanceRequest,
  DeviceReport,
  OpName,
  Telemetry,
} from './native-api/report.ts'

export * from './native-api/bench.ts'
export * from './native-api/matmul-pow.ts'
export * from './native-api/poc.ts'
export * from './native-api/report.ts'

export interface NativeVersion {
  /** Version of the package the addon was built for. */
  readonly package: string
  /** GK_ABI_MAJOR.GK_ABI_MINOR, as "1.0". */
  readonly abi: string
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
