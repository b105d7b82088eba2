/**
 * Benchmarks: cases in, figures out. Around every case the machine itself is measured - register-only loops, a copy, the
 * clock - so that a figure stands beside what the machine could do in that moment, and the load that others put on it is
 * watched.
 */
import { isGonkaError, throwIfAborted } from '../errors.ts'
import type { CpuPeak, DeviceReport, NativeDevice } from '../native-api.ts'
import { packageVersion } from '../package-info.ts'
import { type BenchCase, computeCeiling } from './case.ts'
import { type EnergyMeter, type MeasuredEnergy, measureEnergy, type NoEnergyMeter, openEnergyMeter } from './energy.ts'
import { describeMachine, type Load, type Machine, watchLoad } from './machine.ts'
import { defaultMethod, type Measurement, type Method, measure } from './measure.ts'
import { type Interval, summarize } from './summary.ts'

/** Version of the form of results; lib/bench/result-file.ts has its description. */
export const resultVersion = 1

/** What bounds a case, and how near it came. */
export interface Ceiling {
  /** The arithmetic of its format, or a copy's bandwidth applied to the bytes it must move. */
  readonly bound: 'compute' | 'memory'
  /** Time that the bound leaves no call below, over the median. */
  readonly fraction: number
}

export interface EnergyFigure {
  /** Joules of one operation (of `unit`); null where nothing reads them. */
  readonly joulesPerOperation: number | null
  /** How they were read and how exact that is; or "not available: " and the reason. */
  readonly source: string
}

export interface BenchFigure {
  readonly name: string
  readonly suite: string
  readonly device: string
  /** Worker threads of a CPU device; 0 otherwise. */
  readonly threads: number
  /** null where nothing ran. */
  readonly implementation: string | null
  /** Why nothing ran; null otherwise. */
  readonly skipped: string | null
  /** Of one call in `unit`, and the bytes it must move. */
  readonly operations: number
  readonly unit: string
  readonly bytes: number
  readonly samples: number
  /** Of one call; PoC: of one nonce. */
  readonly medianNs: number
  /** Of the median, autocorrelation included, at the method's confidence. */
  readonly intervalNs: Interval
  readonly minNs: number
  /** Interquartile range as a fraction of the median. */
  readonly spread: number
  /** `unit` per second at the median. */
  readonly rate: number
  readonly bytesPerSecond: number | null
  /** null where nothing measured bounds the case. */
  readonly ceiling: Ceiling | null
  readonly stoppedBy: Measurement['stoppedBy'] | null
  readonly warmUp: Measurement['warmUp'] | null
  /** Raw samples, nanoseconds, in order, by block. */
  readonly blocks: readonly (readonly number[])[]
  /** Every block had operands of its own. */
  readonly freshOperands: boolean
  readonly load: Load | null
  readonly energy: EnergyFigure
}

/** The machine's own ceilings at a moment of the run. */
export interface Calibration extends CpuPeak {
  readonly device: string
  /** Seconds since the run began. */
  readonly at: number
}

export interface BenchReport {
  readonly version: typeof resultVersion
  /** ISO 8601, UTC. */
  readonly created: string
  readonly tool: string
  readonly machine: Machine
  readonly devices: readonly BenchDevice[]
  /** Processors that the process was confined to; all that it may use otherwise. */
  readonly cpus: readonly number[]
  readonly method: Method
  /** Before, between and after the cases; empty on devices that are no CPU. */
  readonly calibrations: readonly Calibration[]
  /** Of the whole run. */
  readonly load: Load
  readonly figures: readonly BenchFigure[]
}

export interface BenchDevice {
  readonly id: string
  readonly name: string
  readonly arch: string
  readonly driver: string
  readonly threads: number
  readonly backend: string
  readonly backendVersion: string
  /** SHA-256 of the library, or of the addon that the CPU backend is linked into. */
  readonly sha256: string
}

/** Opens the device that a case asks for; undefined for what the run was started with. Called once per combination. */
export type OpenForCase = (id: string | undefined, threads: number | undefined) => Promise<NativeDevice>

export interface BenchOptions {
  /** Measures everything on one device, whatever the cases ask for; it stays open. Or opens those that cases ask for. */
  readonly device: NativeDevice | OpenForCase
  readonly cases: readonly BenchCase[]
  /** Implementation by name; the device's best if absent. */
  readonly implementation?: string
  readonly method?: Partial<Method>
  /** Processors the process is confined to, for the record. */
  readonly cpus?: readonly number[]
  /** Each figure as soon as it is there. */
  readonly onFigure?: (figure: BenchFigure) => void
  /** What begins, and how much of the run is done (0..1). */
  readonly onStep?: (what: string, fraction: number) => void
  readonly signal?: AbortSignal
}

/** Cases shorter than this are not worth the longer calibration at both ends. */
const briefSeconds = 0.5

interface OpenDevice {
  readonly device: NativeDevice
  readonly report: DeviceReport
  readonly meter: EnergyMeter | NoEnergyMeter
}

/** Runs the cases one after the other. A case that the device cannot run is reported as skipped. */
export async function bench(options: BenchOptions): Promise<BenchReport> {
  const { cases, signal, onStep } = options
  const method = { ...defaultMethod, ...options.method }
  const created = new Date().toISOString()
  const began = performance.now()
  const loadOfAll = watchLoad()
  const opened = new Map<string, OpenDevice>()
  const calibrations: Calibration[] = []
  const calibrate = async ({ device, report }: OpenDevice, brief: boolean): Promise<Calibration | null> => {
    if (report.backend !== 'cpu') return null
    const peak = await device.cpuPeak({ brief }, signal)
    const calibration = { device: deviceKey(report), at: (performance.now() - began) / 1000, ...peak }
    calibrations.push(calibration)
    return calibration
  }
  const openFor = async (one: BenchCase): Promise<OpenDevice> => {
    const key = typeof options.device === 'function' ? `${one.device ?? ''} ${one.threads ?? ''}` : ''
    const known = opened.get(key)
    if (known) return known
    const device = typeof options.device === 'function' ? await options.device(one.device, one.threads) : options.device
    const entry = { device, report: await device.report(), meter: await openEnergyMeter(device) }
    opened.set(key, entry)
    return entry
  }
  try {
    const figures: BenchFigure[] = []
    let before: Calibration | null = null
    for (const [i, one] of cases.entries()) {
      throwIfAborted(signal)
      const target = await openFor(one)
      if (before?.device !== deviceKey(target.report)) {
        onStep?.('the ceilings of this machine', i / cases.length)
        before = await calibrate(target, method.seconds < briefSeconds)
      }
      onStep?.(one.name, i / cases.length)
      const figure = await measureOne(one, target, method, options, before, () =>
        calibrate(target, i + 1 < cases.length || method.seconds < briefSeconds),
      )
      before = calibrations.at(-1) ?? null
      figures.push(figure)
      options.onFigure?.(figure)
    }
    return {
      version: resultVersion,
      created,
      tool: `gonka-miner ${packageVersion()}`,
      machine: describeMachine(),
      devices: distinct([...opened.values()].map(describeDevice)),
      cpus: options.cpus ?? [],
      method,
      calibrations,
      load: loadOfAll(),
      figures,
    }
  } finally {
    for (const { device, meter } of opened.values()) {
      if (meter.available) meter.close()
      if (typeof options.device === 'function') await device.close()
    }
  }
}

function distinct(devices: readonly BenchDevice[]): BenchDevice[] {
  return [...new Map(devices.map((one) => [`${one.id} ${one.threads}`, one])).values()]
}

function deviceKey({ id, threads }: { readonly id: string; readonly threads: number }): string {
  return threads > 0 ? `${id} ${threads} threads` : id
}

function describeDevice({ device, report }: Pick<OpenDevice, 'device' | 'report'>): BenchDevice {
  const { id, name, arch, driver, threads } = report
  const { name: backend, version: backendVersion, sha256 } = device.backend
  return { id, name, arch, driver, threads, backend, backendVersion, sha256 }
}

async function measureOne(
  one: BenchCase,
  { device, report, meter }: OpenDevice,
  method: Method,
  options: BenchOptions,
  before: Calibration | null,
  calibrateAfter: () => Promise<Calibration | null>,
): Promise<BenchFigure> {
  const where = { name: one.name, suite: one.suite, device: report.id, threads: report.threads }
  const endLoad = watchLoad()
  let measured: Measurement
  let drawn: MeasuredEnergy
  try {
    const metered = await measureEnergy(meter, () => measure(one, device, method, options))
    measured = metered.result
    drawn = metered.energy
  } catch (error) {
    if (!isGonkaError(error, 'ERR_GK_UNSUPPORTED')) throw error
    return { ...nothing, ...where, skipped: error.message }
  }
  const load = endLoad()
  const after = await calibrateAfter()
  const { operations, unit, bytes, blocks, warmUp, done, stoppedBy, fresh, implementation } = measured
  const samples = blocks.flat()
  const summary = summarize(samples, method.confidence)
  const inCache = !method.cold && bytes < describeMachine().cacheMib * 2 ** 20
  return {
    ...where,
    implementation,
    skipped: null,
    operations,
    unit,
    bytes,
    samples: summary.samples,
    medianNs: summary.median,
    intervalNs: summary.interval,
    minNs: summary.min,
    spread: summary.spread,
    rate: (operations / summary.median) * 1e9,
    bytesPerSecond: bytes > 0 ? (bytes / summary.median) * 1e9 : null,
    ceiling: before && after ? ceilingOf(one, measured, summary.median, before, after, inCache) : null,
    stoppedBy,
    warmUp,
    blocks,
    freshOperands: fresh,
    load,
    energy: energyOf(drawn, meter, done),
  }
}

/** What the case drew from its preparation to its last call, over the operations done in it. */
function energyOf(drawn: MeasuredEnergy, meter: EnergyMeter | NoEnergyMeter, operations: number): EnergyFigure {
  if (drawn.joules === undefined || !meter.available)
    return { joulesPerOperation: null, source: `not available: ${drawn.reason}` }
  return { joulesPerOperation: drawn.joules / operations, source: `${drawn.method}; error: ${meter.error}` }
}

const nothing = {
  implementation: null,
  operations: 0,
  unit: '',
  bytes: 0,
  samples: 0,
  medianNs: Number.NaN,
  intervalNs: { low: Number.NaN, high: Number.NaN },
  minNs: Number.NaN,
  spread: Number.NaN,
  rate: Number.NaN,
  bytesPerSecond: null,
  ceiling: null,
  stoppedBy: null,
  warmUp: null,
  blocks: [],
  freshOperands: false,
  load: null,
  energy: { joulesPerOperation: null, source: 'not available: the case did not run' },
} as const

/**
 * The roofline's side that holds, by the mean of what was measured before and after the case. Memory bounds nothing that
 * stays in the caches from call to call.
 */
function ceilingOf(
  { problem }: BenchCase,
  { operations, bytes }: Measurement,
  medianNs: number,
  before: CpuPeak,
  after: CpuPeak,
  inCache: boolean,
): Ceiling | null {
  const mean = (of: (peak: CpuPeak) => number | null): number => ((of(before) ?? 0) + (of(after) ?? 0)) / 2
  const peak = mean((one) => computeCeiling(problem, one))
  const computeNs = peak > 0 ? (operations / peak) * 1e9 : 0
  const copied = mean(({ copyGbPerS }) => copyGbPerS)
  const memoryNs = !inCache && copied > 0 ? bytes / copied : 0
  if (computeNs === 0 && memoryNs === 0) return null
  const bound = computeNs >= memoryNs ? 'compute' : 'memory'
  return { bound, fraction: Math.max(computeNs, memoryNs) / medianNs }
}
