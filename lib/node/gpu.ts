// What the GPU routes report, read from the vendor's own tool. No tool or no answer: no devices, said plainly.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

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
  /** Watts; null if not reported. */
  readonly power_w: number | null
}

export interface GpuDriver {
  readonly driver_version: string
  readonly cuda_driver_version: string | null
  readonly nvml_version: string | null
}

export interface GpuReader {
  devices(): Promise<readonly GpuDevice[]>
  driver(): Promise<GpuDriver | undefined>
}

type Command = (args: readonly string[]) => Promise<string>

const nvidiaSmi: Command = async (args) => (await run('nvidia-smi', [...args], { timeout: 4000 })).stdout

function numberOf(text: string | undefined): number | null {
  const value = Number(text?.trim())
  return text === undefined || text.trim() === '' || !Number.isFinite(value) ? null : value
}

const fields = 'index,name,memory.total,memory.free,memory.used,utilization.gpu,temperature.gpu,power.draw'

/** Reads at most every `cacheMs`; callers in between share the answer. */
export function gpuReader(command: Command = nvidiaSmi, cacheMs = 2000): GpuReader {
  let cached: { at: number; value: Promise<readonly GpuDevice[]> } | undefined
  const read = async (): Promise<readonly GpuDevice[]> => {
    let text: string
    try {
      text = await command([`--query-gpu=${fields}`, '--format=csv,noheader,nounits'])
    } catch {
      return []
    }
    const out: GpuDevice[] = []
    for (const line of text.split('\n')) {
      const cells = line.split(',').map((cell) => cell.trim())
      const index = numberOf(cells[0])
      if (index === null || cells[1] === undefined) continue
      out.push({
        index,
        name: cells[1],
        total_memory_mb: numberOf(cells[2]),
        free_memory_mb: numberOf(cells[3]),
        used_memory_mb: numberOf(cells[4]),
        utilization_percent: numberOf(cells[5]),
        temperature_c: numberOf(cells[6]),
        is_available: numberOf(cells[2]) !== null,
        error_message: numberOf(cells[2]) === null ? 'the driver does not report this device' : null,
        power_w: numberOf(cells[7]),
      })
    }
    return out
  }
  return {
    devices() {
      const now = performance.now()
      if (cached === undefined || now - cached.at > cacheMs) cached = { at: now, value: read() }
      return cached.value
    },
    async driver() {
      try {
        const text = await command([])
        const driver = /Driver Version:\s*([\d.]+)/.exec(text)?.[1]
        if (driver === undefined) return undefined
        const cuda = /CUDA Version:\s*([\d.]+)/.exec(text)?.[1] ?? null
        return { driver_version: driver, cuda_driver_version: cuda, nvml_version: null }
      } catch {
        return undefined
      }
    },
  }
}
