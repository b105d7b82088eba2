/**
 * The machine under the measurement: what it is, and what else went on while it was measured. Everything is read from
 * /proc and /sys; what a machine does not tell is null, with the reason where it matters.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'

export interface Machine {
  readonly cpuModel: string
  readonly logicalCpus: number
  /** Of them, those this process may use. */
  readonly usableCpus: number
  readonly memoryGib: number
  /** Of the largest cache of a processor; 32 MiB are assumed where the system does not tell. */
  readonly cacheMib: number
  readonly kernel: string
  /** "performance", "schedutil", ...; null where the system does not tell. */
  readonly governor: string | null
  /** Whether the clock may rise above its nominal rate; null likewise. */
  readonly boost: boolean | null
  /** Hardware counters of instructions: "available", or why not. */
  readonly instructionCounter: string
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return null
  }
}

export function describeMachine(root = '/'): Machine {
  const frequency = join(root, 'sys/devices/system/cpu/cpu0/cpufreq')
  const boost = readText(join(root, 'sys/devices/system/cpu/cpufreq/boost'))
  const noTurbo = readText(join(root, 'sys/devices/system/cpu/intel_pstate/no_turbo'))
  return {
    cpuModel: cpus()[0]?.model ?? 'unknown',
    logicalCpus: cpus().length,
    usableCpus: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    cacheMib: cacheMib(root),
    kernel: release(),
    governor: readText(join(frequency, 'scaling_governor')),
    boost: boost === null ? (noTurbo === null ? null : noTurbo === '0') : boost === '1',
    instructionCounter: instructionCounter(root),
  }
}

function cacheMib(root: string): number {
  const sizes = [0, 1, 2, 3, 4].map((level) => {
    const text = readText(join(root, `sys/devices/system/cpu/cpu0/cache/index${level}/size`))
    return Number(/^(\d+)K$/.exec(text ?? '')?.[1] ?? 0) / 1024
  })
  return Math.max(...sizes) || 32
}

/** The kernel lists what counts: "cpu" is the processor's own unit, absent on most virtual machines. */
function instructionCounter(root: string): string {
  try {
    const sources = readdirSync(join(root, 'sys/bus/event_source/devices'))
    if (sources.some((name) => name === 'cpu' || name === 'cpu_core' || name.startsWith('armv8'))) return 'available'
    return `not available: the processor offers no counters here (event sources: ${sources.join(', ')})`
  } catch {
    return 'not available: the system lists no event sources'
  }
}

/** What went on between two looks at the machine. */
export interface Load {
  readonly seconds: number
  /** Processors' worth of time that others used; null where the system does not tell. */
  readonly otherCpus: number | null
  /** Processors' worth of time that the hypervisor gave to other machines while this one wanted it. */
  readonly stolenCpus: number | null
  /** Times a processor was slowed down because it was hot; null where the system does not tell. */
  readonly throttled: number | null
  /** Mean clock that the system reports, GHz; null likewise. */
  readonly reportedGhz: number | null
}

interface Look {
  readonly at: number
  readonly busyTicks: number | null
  readonly stolenTicks: number
  readonly ownMicroseconds: number
  readonly throttled: number | null
  readonly ghz: number | null
}

/** The kernel counts in hundredths of a second, whatever its own clock. */
const ticksPerSecond = 100

function look(root: string): Look {
  // cpu user nice system idle iowait irq softirq steal
  const fields = readText(join(root, 'proc/stat'))?.split('\n')[0]?.split(/\s+/).slice(1).map(Number)
  const at = (i: number): number => fields?.[i] ?? 0
  const { user, system } = process.cpuUsage()
  return {
    at: performance.now(),
    busyTicks: fields ? at(0) + at(1) + at(2) + at(5) + at(6) : null,
    stolenTicks: at(7),
    ownMicroseconds: user + system,
    throttled: sumOf(root, 'thermal_throttle/core_throttle_count'),
    ghz: clockOf(root),
  }
}

function perCpu(root: string, file: string): number[] {
  const folder = join(root, 'sys/devices/system/cpu')
  let names: string[] = []
  try {
    names = readdirSync(folder).filter((name) => /^cpu\d+$/.test(name))
  } catch {
    return []
  }
  return names
    .map((name) => readText(join(folder, name, file)))
    .filter((text): text is string => text !== null && /^\d+$/.test(text))
    .map(Number)
}

function sumOf(root: string, file: string): number | null {
  const values = perCpu(root, file)
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0)
}

function clockOf(root: string): number | null {
  const kilohertz = perCpu(root, 'cpufreq/scaling_cur_freq')
  return kilohertz.length === 0 ? null : kilohertz.reduce((a, b) => a + b, 0) / kilohertz.length / 1e6
}

/** Looks at the machine now; the returned function says what went on since. */
export function watchLoad(root = '/'): () => Load {
  const before = look(root)
  return () => {
    const after = look(root)
    const seconds = (after.at - before.at) / 1000
    const own = (after.ownMicroseconds - before.ownMicroseconds) / 1e6
    const busy =
      before.busyTicks === null || after.busyTicks === null
        ? null
        : (after.busyTicks - before.busyTicks) / ticksPerSecond
    // A tick is coarse, so a little of one's own time can look like somebody else's and the other way round.
    const others = busy === null ? null : Math.max(0, busy - own) / seconds
    return {
      seconds,
      otherCpus: others,
      stolenCpus: busy === null ? null : (after.stolenTicks - before.stolenTicks) / ticksPerSecond / seconds,
      throttled: before.throttled === null || after.throttled === null ? null : after.throttled - before.throttled,
      reportedGhz: after.ghz,
    }
  }
}

/** More than this of one processor, and the machine was not quiet. */
export const quietLimit = 0.1

/** What of a load disturbs a measurement, in words; empty if nothing does. */
export function disturbances(load: Load): string[] {
  const out: string[] = []
  const share = (cpus: number): string => `${Math.round(cpus * 100)} % of a processor`
  if ((load.otherCpus ?? 0) > quietLimit) out.push(`other processes used ${share(load.otherCpus as number)}`)
  if ((load.stolenCpus ?? 0) > quietLimit) out.push(`the hypervisor withheld ${share(load.stolenCpus as number)}`)
  if ((load.throttled ?? 0) > 0) out.push(`the processor was throttled ${load.throttled} times`)
  return out
}
