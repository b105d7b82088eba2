// What the GPU routes report: of devices that the node has opened, by their sensors; of others in the machine, by the vendor's
// own tool. No tool or no answer: no devices, said plainly.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Telemetry } from '../native-api.ts'

const run = promisify(execFile)

export interface GpuDevice {
  readonly index: number
  readonly name: string
  readonly total_memory_mb: number | null
  readonly free_memory_mb: number | null
  readonly used_memory_mb: number | null
  readonly utilization_percent: number | null
  readonly temperature_c: number | null
  readonly is_available: boolean
  readonly error_message: string | null
}

/** What the node's own metrics have beside; null if not reported. */
export interface GpuFigures extends GpuDevice {
  readonly uuid: string
  readonly power_w: number | null
  /** Joules since the driver was loaded. */
  readonly energy_j: number | null
  readonly core_clock_mhz: number | null
  readonly memory_clock_mhz: number | null
  /** Number of the last error event since the node looked first, 0: none. */
  readonly last_xid: number | null
}

export interface GpuDriver {
  readonly driver_version: string
  readonly cuda_driver_version: string | null
  readonly nvml_version: string | null
}

export interface GpuReader {
  devices(): Promise<readonly GpuFigures[]>
  driver(): Promise<GpuDriver | undefined>
}

type Command = (args: readonly string[]) => Promise<string>

const nvidiaSmi: Command = async (args) => (await run('nvidia-smi', [...args], { timeout: 4000 })).stdout

function numberOf(text: string | undefined): number | null {
  const value = Number(text?.trim())
  return text === undefined || text.trim() === '' || !Number.isFinite(value) ? null : value
}

const fields = 'index,name,memory.total,memory.free,memory.used,utilization.gpu,temperature.gpu,power.draw,uuid'
/** A tool that does not answer is not asked again for so long. */
const silenceMs = 60_000

function rowOf(line: string): GpuFigures | undefined {
  const cells = line.split(',').map((cell) => cell.trim())
  const index = numberOf(cells[0])
  const name = cells[1]
  if (index === null || name === undefined) return undefined
  const total = numberOf(cells[2])
  return {
    index,
    name,
    total_memory_mb: total,
    free_memory_mb: numberOf(cells[3]),
    used_memory_mb: numberOf(cells[4]),
    utilization_percent: numberOf(cells[5]),
    temperature_c: numberOf(cells[6]),
    is_available: total !== null,
    error_message: total === null ? 'the driver does not report this device' : null,
    power_w: numberOf(cells[7]),
    uuid: cells[8] ?? '',
    energy_j: null,
    core_clock_mhz: null,
    memory_clock_mhz: null,
    last_xid: null,
  }
}

function figuresOf(now: Telemetry, index: number): GpuFigures {
  const { memoryTotalBytes: total, memoryUsedBytes: used } = now
  const mb = (bytes: number | null) => (bytes === null ? null : Math.round(bytes / 2 ** 20))
  return {
    index,
    name: now.name,
    total_memory_mb: mb(total),
    free_memory_mb: total === null || used === null ? null : mb(total - used),
    used_memory_mb: mb(used),
    utilization_percent: now.utilizationPercent,
    temperature_c: now.temperatureC,
    is_available: true,
    error_message: null,
    power_w: now.powerW,
    uuid: now.uuid,
    energy_j: now.energyJ,
    core_clock_mhz: now.coreClockMhz,
    memory_clock_mhz: now.memoryClockMhz,
    last_xid: now.lastXid ?? (now.xidCount === 0 ? 0 : null),
  }
}

/** `opened` reads the sensors of the devices in use. The tool is started only while there are others. Reads at most every
 *  `cacheMs`; callers in between share the answer. */
export function gpuReader(
  opened: () => Promise<readonly Telemetry[]> = async () => [],
  command: Command = nvidiaSmi,
  cacheMs = 2000,
): GpuReader {
  let cached: { at: number; value: Promise<readonly GpuFigures[]> } | undefined
  /** What the tool said last. */
  let listed: readonly GpuFigures[] | undefined
  let silentUntil = 0

  const ask = async (): Promise<readonly GpuFigures[]> => {
    if (performance.now() < silentUntil) return []
    try {
      const text = await command([`--query-gpu=${fields}`, '--format=csv,noheader,nounits'])
      return text
        .split('\n')
        .map(rowOf)
        .filter((row) => row !== undefined)
    } catch {
      silentUntil = performance.now() + silenceMs
      return []
    }
  }

  const read = async (): Promise<readonly GpuFigures[]> => {
    const own = new Map((await opened()).map((now) => [now.uuid || now.pci, now] as const))
    if (listed === undefined || listed.length === 0 || !listed.every(({ uuid }) => own.has(uuid))) listed = await ask()
    if (listed.length === 0) return [...own.values()].map(figuresOf)
    return listed.map((row) => {
      const now = own.get(row.uuid)
      return now === undefined ? row : { ...figuresOf(now, row.index), name: row.name }
    })
  }

  return {
    devices() {
      const now = performance.now()
      if (cached === undefined || now - cached.at > cacheMs) cached = { at: now, value: read() }
      return cached.value
    },
    async driver() {
      if (performance.now() < silentUntil) return undefined
      try {
        const text = await command([])
        const driver = /Driver Version:\s*([\d.]+)/.exec(text)?.[1]
        if (driver === undefined) return undefined
        const cuda = /CUDA Version:\s*([\d.]+)/.exec(text)?.[1] ?? null
        return { driver_version: driver, cuda_driver_version: cuda, nvml_version: null }
      } catch {
        silentUntil = performance.now() + silenceMs
        return undefined
      }
    },
  }
}
