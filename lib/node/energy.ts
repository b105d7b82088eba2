// Energy the devices have drawn since the node started: by their counters where they have one, else power summed over time.

import type { GpuFigures, GpuReader } from './gpu.ts'

export interface Energy {
  /** Undefined if no device reports power. */
  joules(): number | undefined
  /** Latest total power, watts; undefined likewise. */
  watts(): number | undefined
  close(): void
}

/** Looks at the devices every `periodMs`. */
export function createEnergy(gpu: GpuReader, periodMs = 5000): Energy {
  let total: number | undefined
  let latest: number | undefined
  let last = performance.now()
  const counters = new Map<string, number>()

  /** Joules of one device since the last look: by its counter, or its power over the time. */
  const drawn = ({ uuid, energy_j, power_w }: GpuFigures, seconds: number): number | undefined => {
    if (energy_j === null) return power_w === null ? undefined : power_w * seconds
    const before = counters.get(uuid)
    counters.set(uuid, energy_j)
    // A device that is opened anew after its driver was loaded again counts from zero.
    return before === undefined ? (power_w ?? 0) * seconds : Math.max(0, energy_j - before)
  }

  const sample = async () => {
    const devices = await gpu.devices()
    const powers = devices.map((device) => device.power_w).filter((w) => w !== null)
    latest = powers.length > 0 ? powers.reduce((a, b) => a + b, 0) : undefined
    const now = performance.now()
    for (const device of devices) {
      const joules = drawn(device, (now - last) / 1000)
      if (joules !== undefined) total = (total ?? 0) + joules
    }
    last = now
  }
  const timer = setInterval(() => void sample(), periodMs)
  timer.unref()
  void sample()
  return {
    joules: () => total,
    watts: () => latest,
    close: () => clearInterval(timer),
  }
}
