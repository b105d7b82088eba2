/**
 * devices: backends, devices, and which implementation would run each op.
 *
 * JSON: {"package", "abi", "cpu_features": {"used", "disabled"},
 *  "backends": [{"name", "version", "path", "sha256", "abi", "devices", "error"}],
 *  "devices": [{"id", "backend", "name", "arch", "driver", "unique_id", "memory_bytes", "memory_free_bytes",
 *    "compute_units", "threads", "formats": [{"dtype", "accumulator_bits"}],
 *    "implementations": {op: [{"name", "accepted", "reason", "disabled"}]},
 *    "telemetry": null or {"name", "uuid", "pci", "driver", "source", "temperature_c", "power_w", "power_limit_w", "energy_j",
 *      "core_clock_mhz", "memory_clock_mhz", "core_clock_limit_mhz", "memory_clock_limit_mhz", "throttle": [reason],
 *      "ecc_corrected", "ecc_uncorrected", "xid_count", "last_xid", "utilization_percent", "memory_total_bytes",
 *      "memory_used_bytes", "process_count", "processes": [{"pid", "memory_bytes"}], "missing"}, "no_telemetry": text,
 *    "energy": {"available", "method" or "reason"}}]}
 *  A figure of telemetry that the device does not give is null, and "missing" says why.
 */
import { loadCandidates } from '../backends.ts'
import { openEnergyMeter } from '../bench/energy.ts'
import { exitCodes } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import { type BackendReport, type DeviceReport, opNames } from '../native-api.ts'
import { describeTelemetry } from '../telemetry.ts'
import { paint, siNumber } from '../terminal.ts'
import { type Define, jsonOption } from './command.ts'

export const define: Define = (command, run) => {
  command
    .option('--backend <file...>', 'load these backend libraries too')
    .option('--markdown', 'only the table of ops and implementations, as Markdown')
    .option(...jsonOption)
    .action(run(devices))
}

interface Options {
  readonly backend?: string[]
  readonly markdown?: boolean
  readonly json?: boolean
}

async function devices(io: Io, options: Options): Promise<number> {
  const native = await io.native()
  const asked = options.backend ?? []
  const loaded = await loadCandidates(native, [...native.candidates(), ...asked], { signal: io.signal })
  const registered = native.backends()
  const backends = [...registered, ...loaded.filter(({ path }) => !registered.some((known) => known.path === path))]
  const found = await native.devices()
  if (options.json) {
    const version = native.version()
    const metered = await Promise.all(found.map(async (device) => ({ ...device, energy: await energyOf(device) })))
    const document = { ...version, cpuFeatures: native.cpuFeatures(), backends, devices: metered }
    writeJson(io, toJson(document))
  } else if (options.markdown) {
    io.out.write(implementationTable(found))
  } else {
    for (const backend of backends) io.out.write(describeBackend(io, backend))
    for (const device of found) io.out.write(describeDevice(io, device) + (await describeEnergy(device)))
  }
  return exitCodes.ok
}

/** How the energy of a reported device would be read. */
async function energyOf(device: DeviceReport) {
  const meter = await openEnergyMeter({
    id: device.id,
    telemetry: () =>
      device.telemetry === null ? Promise.reject(new Error(device.noTelemetry)) : Promise.resolve(device.telemetry),
  })
  if (!meter.available) return meter
  meter.close()
  return { available: true, method: meter.method } as const
}

async function describeEnergy(device: DeviceReport): Promise<string> {
  const energy = await energyOf(device)
  const sensors = device.telemetry === null ? '' : `  sensors: ${describeTelemetry(device.telemetry)}\n`
  return `${sensors}  energy: ${energy.available ? energy.method : `not available: ${energy.reason}`}\n`
}

/** One row per op, one column per backend: its implementations, best first, whether this machine can run them or not. */
function implementationTable(devices: readonly DeviceReport[]): string {
  const firsts = devices.filter((device, i) => devices.findIndex(({ backend }) => backend === device.backend) === i)
  const rows = opNames.map((op) => [
    `\`${op}\``,
    ...firsts.map(({ implementations }) => implementations[op]?.map(({ name }) => name).join(', ') || 'host CPU'),
  ])
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`
  const head = ['op', ...firsts.map(({ backend }) => backend)]
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('')
}

function describeBackend(io: Io, { name, version, path, devices, error }: BackendReport): string {
  const place = path === null ? 'built in' : path
  const trouble = error === null ? '' : `\n  ${paint(io, io.out, 'yellow', error)}`
  return `backend ${name} ${version} (${place}): ${devices} ${devices === 1 ? 'device' : 'devices'}${trouble}\n`
}

function describeDevice(io: Io, device: DeviceReport): string {
  const facts = [
    device.arch,
    device.driver && `driver ${device.driver}`,
    device.threads > 0 ? `${device.threads} threads` : `${device.computeUnits} units`,
    `${siNumber(device.memoryBytes)}B, ${siNumber(device.memoryFreeBytes)}B free`,
  ].filter(Boolean)
  const formats = device.formats.map(({ dtype, accumulatorBits }) => `${dtype} (${accumulatorBits} bits)`).join(', ')
  const ops = Object.entries(device.implementations).flatMap(([op, implementations]) => {
    const first = implementations.find(({ accepted, disabled }) => accepted && !disabled)
    const lines = [`  ${op.padEnd(18)} ${first?.name ?? 'on the host CPU'}\n`]
    for (const { name, reason, accepted, disabled } of implementations) {
      if (disabled) lines.push(`    ${paint(io, io.out, 'red', `${name} disabled: ${reason}`)}\n`)
      else if (!accepted && reason) lines.push(`    ${paint(io, io.out, 'dim', `not ${name}: ${reason}`)}\n`)
    }
    return lines
  })
  return `\n${paint(io, io.out, 'bold', device.id)}  ${device.name}\n  ${facts.join('; ')}\n  gemm formats: ${formats}\n${ops.join('')}`
}
