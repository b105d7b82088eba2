/** Energy a device draws, read from a counter where there is one, with how it was read and what is known of its error. */
import { constants } from 'node:fs'
import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GonkaError, messageOf } from '../errors.ts'
import type { NativeDevice } from '../native-api.ts'

/** What a meter needs of a device. */
export type MeteredDevice = Pick<NativeDevice, 'id' | 'telemetry'>

export interface EnergyReading {
  /** Since the meter was opened. */
  readonly joules: number
  /** When it was read: performance.now() / 1000. */
  readonly seconds: number
}

export interface EnergyMeter {
  readonly available: true
  /** How the energy is read, for the record: "NVML total energy counter (NVML 12.570.86.15)". */
  readonly method: string
  /** Least difference the meter can show. */
  readonly resolutionJoules: number
  /** About how often the figure changes: intervals should be many times longer. */
  readonly resolutionSeconds: number
  /** What is known of its error, and what else it counts. */
  readonly error: string
  /** Rejects with ERR_GK_DEVICE_ERROR if the source can no longer be read. */
  read(): Promise<EnergyReading>
  /** Ends sampling. Closing twice is harmless. */
  close(): void
}

export interface NoEnergyMeter {
  readonly available: false
  /** Cause and, where there is one, the fix. */
  readonly reason: string
}

export interface EnergyMeterOptions {
  /** Folder of the kernel's power zones; /sys/class/powercap if absent. */
  readonly powercap?: string
}

/** Opens the meter of a device: RAPL for CPU devices, the backend's telemetry for others. Does not reject. */
export async function openEnergyMeter(
  device: MeteredDevice,
  options: EnergyMeterOptions = {},
): Promise<EnergyMeter | NoEnergyMeter> {
  try {
    if (device.id.startsWith('cpu:')) return await raplMeter(options.powercap ?? '/sys/class/powercap')
    return await telemetryMeter(device)
  } catch (error) {
    return notAvailable(messageOf(error))
  }
}

export interface MeasuredEnergy {
  readonly method: string
  /** undefined if and only if method is "not available". */
  readonly joules: number | undefined
  /** Why there is no figure; empty if there is one. */
  readonly reason: string
}

/** Runs work between two readings. The work's failure is the caller's; the meter's only costs the figure. */
export async function measureEnergy<T>(
  meter: EnergyMeter | NoEnergyMeter,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly energy: MeasuredEnergy }> {
  const reading = () => (meter.available ? meter.read().catch((error: unknown) => messageOf(error)) : meter.reason)
  const before = await reading()
  const result = await work()
  const after = await reading()
  if (typeof before === 'string' || typeof after === 'string' || !meter.available) {
    const reason = typeof before === 'string' ? before : typeof after === 'string' ? after : ''
    return { result, energy: { method: 'not available', joules: undefined, reason } }
  }
  return { result, energy: { method: meter.method, joules: after.joules - before.joules, reason: '' } }
}

const notAvailable = (reason: string): NoEnergyMeter => ({ available: false, reason })
const nowSeconds = () => performance.now() / 1000

// ---------------------------------------------------------------------------------------------------------------- RAPL

interface RaplZone {
  readonly name: string
  readonly file: string
  /** The counter starts again from 0 after this, microjoules. */
  readonly range: number
}

/** A counter may start again after its range; at a kilowatt the smallest in use (65 kJ) lasts a minute. */
const raplLookMs = 20_000

/**
 * Linux powercap: intel-rapl:<n> are packages (also AMD's), intel-rapl:<n>:<m> parts of one. Memory is counted where it is a
 * zone of its own; other parts are inside their package. intel-rapl-mmio:<n> are the same packages once more.
 */
async function raplZones(folder: string): Promise<readonly RaplZone[]> {
  if (process.platform !== 'linux') throw new Error('RAPL is read on Linux only')
  const entries = await readdir(folder).catch(() => {
    throw new Error(
      `${folder} does not exist: the kernel offers no energy counters here (usual in virtual machines and containers)`,
    )
  })
  const zones: RaplZone[] = []
  for (const entry of entries.sort()) {
    if (!/^intel-rapl:\d+(:\d+)?$/.test(entry)) continue
    const name = (await readFile(join(folder, entry, 'name'), 'utf8')).trim()
    if (!name.startsWith('package') && name !== 'dram') continue
    const range = Number(await readFile(join(folder, entry, 'max_energy_range_uj'), 'utf8'))
    zones.push({ name, file: join(folder, entry, 'energy_uj'), range })
  }
  if (!zones.some(({ name }) => name.startsWith('package'))) {
    throw new Error(`${folder} has no intel-rapl package: the processor or the kernel offers no energy counter`)
  }
  for (const { file } of zones) {
    await access(file, constants.R_OK).catch(() => {
      throw new Error(`${file} may not be read; allow it with: sudo chmod a+r ${folder}/intel-rapl:*/energy_uj`)
    })
  }
  return zones
}

async function raplMeter(folder: string): Promise<EnergyMeter> {
  const zones = await raplZones(folder)
  const counter = async ({ file }: RaplZone): Promise<number> => {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      throw new GonkaError('ERR_GK_DEVICE_ERROR', `${file}: ${messageOf(error)}`)
    })
    const value = text.trim() === '' ? Number.NaN : Number(text)
    if (Number.isFinite(value) && value >= 0) return value
    throw new GonkaError('ERR_GK_DEVICE_ERROR', `${file}: expected microjoules, got ${JSON.stringify(text.trim())}`)
  }
  let last = await Promise.all(zones.map(counter))
  let microjoules = 0
  const advance = async (): Promise<EnergyReading> => {
    const now = await Promise.all(zones.map(counter))
    const seconds = nowSeconds()
    for (const [i, { range }] of zones.entries()) {
      const step = (now[i] ?? 0) - (last[i] ?? 0)
      microjoules += step >= 0 ? step : step + range
    }
    last = now
    return { joules: microjoules / 1e6, seconds }
  }
  const look = inTurn(advance)
  const timer = setInterval(() => void look().catch(() => undefined), raplLookMs)
  timer.unref()
  return {
    available: true,
    method: `RAPL ${zones.map(({ name }) => name).join(' + ')}`,
    resolutionJoules: 1e-6,
    resolutionSeconds: 1e-3,
    error:
      'the processor estimates or measures it; the manufacturer states no bound. Everything the packages do is counted',
    read: look,
    close: () => clearInterval(timer),
  }
}

// ----------------------------------------------------------------------------------------------------------- telemetry

const powerSampleMs = 100

async function telemetryMeter(device: MeteredDevice): Promise<EnergyMeter | NoEnergyMeter> {
  const first = await device.telemetry()
  if (first.energyJ !== null) return counterMeter(device, first.energyJ, first.source)
  if (first.powerW !== null) return powerMeter(device, first.powerW, first.source)
  return notAvailable(`${device.id} reports neither energy nor power: ${first.missing || 'no cause given'}`)
}

function counterMeter(device: MeteredDevice, start: number, source: string): EnergyMeter {
  let last = start
  return {
    available: true,
    method: `total energy counter (${source})`,
    resolutionJoules: 1e-3,
    resolutionSeconds: 0.1,
    error: 'none is stated for the counter; NVIDIA states +/- 5 % for its power readings. The whole board is counted',
    async read() {
      const { energyJ, missing } = await device.telemetry()
      const seconds = nowSeconds()
      if (energyJ === null) throw new GonkaError('ERR_GK_DEVICE_ERROR', `${device.id}: no energy any more: ${missing}`)
      if (energyJ < last) {
        const message = `${device.id}: the energy counter fell from ${last} J to ${energyJ} J; was the driver reloaded?`
        throw new GonkaError('ERR_GK_DEVICE_ERROR', message)
      }
      last = energyJ
      return { joules: energyJ - start, seconds }
    },
    close: () => undefined,
  }
}

/** For devices without a counter: power readings times the time between them. */
function powerMeter(device: MeteredDevice, firstWatts: number, source: string): EnergyMeter {
  let joules = 0
  let watts = firstWatts
  let at = nowSeconds()
  const sample = inTurn(async (): Promise<EnergyReading> => {
    const { powerW, missing } = await device.telemetry()
    if (powerW === null) throw new GonkaError('ERR_GK_DEVICE_ERROR', `${device.id}: no power any more: ${missing}`)
    const now = nowSeconds()
    joules += ((watts + powerW) / 2) * (now - at)
    watts = powerW
    at = now
    return { joules, seconds: now }
  })
  const timer = setInterval(() => void sample().catch(() => undefined), powerSampleMs)
  timer.unref()
  return {
    available: true,
    method: `power readings summed every ${powerSampleMs} ms (${source})`,
    resolutionJoules: 1e-3,
    resolutionSeconds: powerSampleMs / 1000,
    error:
      'that of the power readings (NVIDIA states +/- 5 %) and of what happens between them. The whole board is counted',
    read: sample,
    close: () => clearInterval(timer),
  }
}

/** Calls of f, one after the other: each sees what the one before left. */
function inTurn<T>(f: () => Promise<T>): () => Promise<T> {
  let before: Promise<unknown> = Promise.resolve()
  return () => {
    const mine = before.then(f)
    before = mine.catch(() => undefined)
    return mine
  }
}
