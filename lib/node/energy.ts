// Energy the devices have drawn since the node started: power readings summed over time.

import type { GpuReader } from './gpu.ts'

export interface Energy {
  /** Undefined if no device reports power. */
  joules(): number | undefined
  /** Latest total power, watts; undefined likewise. */
  watts(): number | undefined
  close(): void
}

const periodMs = 5000

export function createEnergy(gpu: GpuReader): Energy {
  let total: number | undefined
  let latest: number | undefined
  let last = performance.now()
  const sample = async () => {
    const devices = await gpu.devices()
    const readings = devices.map((device) => device.power_w).filter((w) => w !== null)
    const now = performance.now()
    if (readings.length > 0) {
      latest = readings.reduce((a, b) => a + b, 0)
      total = (total ?? 0) + (latest * (now - last)) / 1000
    }
    last = now
  }
  // Without a device there is nothing to sample: one look decides.
  let timer: NodeJS.Timeout | undefined
  void sample().then(() => {
    if (latest === undefined) return
    timer = setInterval(() => void sample(), periodMs)
    timer.unref()
  })
  return {
    joules: () => total,
    watts: () => latest,
    close: () => clearInterval(timer),
  }
}
