/** Backends, devices and their sensors as they are reported, and the results of checks. */

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
