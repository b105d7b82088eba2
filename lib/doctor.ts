/** Checks of the machine: what is found, what follows from it, and the one command that fixes it. */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, readFile, stat, statfs } from 'node:fs/promises'
import { availableParallelism, cpus, freemem } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { loadCandidates } from './backends.ts'
import { openEnergyMeter } from './bench/energy.ts'
import { jsonFetch } from './chain/chain-client.ts'
import { checkKeyFileMode, readKeyFile } from './chain/key-file.ts'
import { type Check, failure, ok, warning } from './doctor/check.ts'
import { checkAdmin, checkCallbackUrl, checkSeed, checkUpstream } from './doctor/network.ts'
import { checkNode as checkRunningNode } from './doctor/running-node.ts'
import { checkConfig, checkSettings } from './doctor/settings.ts'
import { messageOf } from './errors.ts'
import type { NativeApi, Telemetry } from './native-api.ts'
import { defaultAddressRule } from './node/address-rule.ts'
import type { ConfigSources } from './node/config.ts'
import { packageRoot, packageVersion } from './package-info.ts'
import { describeTelemetry, telemetryTroubles } from './telemetry.ts'
import { siNumber } from './terminal.ts'

export type { Check } from './doctor/check.ts'

export interface DoctorOptions {
  readonly native: () => Promise<NativeApi>
  readonly keyFile?: string
  /** Whose disk is checked. */
  readonly folder: string
  readonly now: () => number
  readonly signal?: AbortSignal
  /** Where `serve` takes its settings from; given: they, and what they name, are checked. */
  readonly config?: ConfigSources
  /** A node that runs, with the token it wants. */
  readonly node?: { readonly url: string; readonly token: string | undefined }
  /** A host of the network; with an address also that account's state. */
  readonly seed?: { readonly url: string; readonly address: string | undefined }
  /** The network node's admin API. */
  readonly admin?: string
  /** A URL that callbacks go to. */
  readonly callback?: string
}

/** What a PoC v1 round with the default parameters needs. */
const wantedMemory = 2.6e9
/** Room for proofs, an outbox and logs. */
const wantedDisk = 1e9

export async function runChecks(options: DoctorOptions): Promise<readonly Check[]> {
  const checks: Check[] = [checkNode(process.versions.node)]
  const native = await options.native().catch((error: unknown) => {
    checks.push(failure('addon', messageOf(error), 'npm rebuild gonka-miner'))
    return undefined
  })
  if (native)
    checks.push(
      ...checkAddon(native),
      ...(await checkBackends(native, options.signal)),
      ...(await checkDevices(native)),
    )
  checks.push(await checkProcessors(), checkMemory(await availableMemory()), await checkDisk(options.folder))
  checks.push(await checkClock(options.now()))
  if (options.keyFile !== undefined) checks.push(await checkKey(options.keyFile))
  checks.push(...(await checkHost(options)))
  return checks
}

/** What a host has around this package: settings, a node, the network. Only what the options name. */
async function checkHost(options: DoctorOptions): Promise<Check[]> {
  const checks: Check[] = []
  const signal = options.signal ?? new AbortController().signal
  const send = jsonFetch(signal)
  const config = options.config === undefined ? undefined : checkConfig(options.config)
  const settings = config?.settings
  if (config !== undefined) checks.push(config.check)
  if (settings !== undefined) {
    checks.push(...(await checkSettings(settings, options.now())))
    for (const upstream of settings['engine.upstream']) checks.push(await checkUpstream(send, upstream))
  }
  if (options.callback !== undefined) {
    checks.push(await checkCallbackUrl(send, options.callback, settings?.['callbacks.allow'] ?? defaultAddressRule))
  }
  if (options.node !== undefined)
    checks.push(...(await checkRunningNode({ ...options.node, now: options.now, signal })))
  if (options.seed !== undefined) {
    const { url, address } = options.seed
    checks.push(...(await checkSeed(send, url, address, settings?.['engine.models'] ?? [], options.now())))
  }
  if (options.admin !== undefined) checks.push(...(await checkAdmin(send, options.admin)))
  return checks
}

export function checkNode(version: string): Check {
  const major = Number.parseInt(version, 10)
  if (major >= 20) return ok('node', `version ${version}`)
  return failure('node', `version ${version} is older than 20`, 'install Node 20 or later from https://nodejs.org')
}

function checkAddon(native: NativeApi): Check[] {
  const version = native.version()
  const checks: Check[] = []
  if (version.package === packageVersion()) checks.push(ok('addon', `version ${version.package}, ABI ${version.abi}`))
  else {
    const detail = `the addon is of version ${version.package}, the package of ${packageVersion()}`
    checks.push(failure('addon', detail, 'npm rebuild gonka-miner'))
  }
  const { used, disabled } = native.cpuFeatures()
  const found = used.length === 0 ? 'none beyond the baseline' : used.join(' ')
  if (disabled.length === 0) checks.push(ok('cpu features', found))
  else {
    const detail = `in use: ${found}; not in use although the CPU has them: ${disabled.join(' ')}`
    checks.push(warning('cpu features', detail, 'unset GONKA_CPU_FEATURES'))
  }
  return checks
}

async function checkBackends(native: NativeApi, signal: AbortSignal | undefined): Promise<Check[]> {
  const candidates = await loadCandidates(native, native.candidates(), signal ? { signal } : {})
  const known = native.backends()
  const all = [...known, ...candidates.filter(({ path }) => !known.some((backend) => backend.path === path))]
  return all.map(({ name, path, devices, error, version }) => {
    const where = path === null ? 'built in' : path
    if (error !== null)
      return warning(`backend ${name}`, error, path === null ? null : `gonka-miner conformance --backend ${path}`)
    return ok(`backend ${name}`, `version ${version} (${where}), ${devices} ${devices === 1 ? 'device' : 'devices'}`)
  })
}

/** Whether devices open, what their sensors say, and whether joules can be read. */
async function checkDevices(native: NativeApi): Promise<Check[]> {
  const ids = native
    .backends()
    .flatMap(({ name, devices }) => Array.from({ length: devices }, (_, i) => `${name}:${i}`))
  const checks: Check[] = []
  for (const id of ids) {
    const device = await native.openDevice({ device: id, threads: 1 }).catch((error: unknown) => {
      checks.push(failure(`device ${id}`, messageOf(error), 'gonka-miner devices'))
      return undefined
    })
    if (device === undefined) continue
    const telemetry = await device.telemetry().catch(() => undefined)
    if (telemetry !== undefined) checks.push(...checkSensors(id, telemetry))
    const meter = await openEnergyMeter(device)
    if (meter.available) meter.close()
    const detail = meter.available ? meter.method : `not available: ${meter.reason}; no joules will be reported`
    checks.push(ok(`energy of ${id}`, detail))
    await device.close()
  }
  return checks
}

export function checkSensors(id: string, telemetry: Telemetry): Check[] {
  const troubles = telemetryTroubles(telemetry).map(({ detail, fix }) => warning(`sensors of ${id}`, detail, fix))
  return troubles.length > 0 ? troubles : [ok(`sensors of ${id}`, describeTelemetry(telemetry))]
}

/** A container may be allowed fewer processors than it sees; too many threads then wait for each other. */
async function checkProcessors(): Promise<Check> {
  const seen = cpus().length
  const usable = availableParallelism()
  const limit = await cgroupProcessors()
  const detail = `${seen} seen, ${usable} usable${limit === undefined ? '' : `, ${limit} allowed by the container`}`
  if (limit !== undefined && limit < 1) {
    return warning(
      'processors',
      `${detail}: every timing will be disturbed`,
      'give the container at least one processor',
    )
  }
  return ok('processors', detail)
}

async function cgroupProcessors(): Promise<number | undefined> {
  const text = await readFile('/sys/fs/cgroup/cpu.max', 'utf8').catch(() => '')
  const [quota, period] = text.trim().split(' ').map(Number)
  return quota && period ? quota / period : undefined
}

/** What Linux would give without swapping; elsewhere what is free. */
async function availableMemory(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '')
  const kilobytes = /^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1]
  return kilobytes === undefined ? freemem() : Number(kilobytes) * 1024
}

export function checkMemory(bytes: number): Check {
  const detail = `${siNumber(bytes)}B available`
  if (bytes >= wantedMemory) return ok('memory', detail)
  const needs = `a PoC v1 round with the default parameters needs ${siNumber(wantedMemory)}B`
  return warning('memory', `${detail}; ${needs}`, 'stop other programs, or use smaller --params')
}

async function checkDisk(folder: string): Promise<Check> {
  const path = resolve(folder)
  try {
    await access(path, constants.W_OK)
    const { bavail, bsize } = await statfs(path)
    const free = bavail * bsize
    const detail = `${siNumber(free)}B free in ${path}`
    if (free >= wantedDisk) return ok('disk', detail)
    return warning('disk', `${detail}; less than ${siNumber(wantedDisk)}B`, `df -h ${path}`)
  } catch (error) {
    return failure('disk', `${path} cannot be written: ${messageOf(error)}`, `mkdir -p ${path} && chmod u+w ${path}`)
  }
}

/** Proofs and transactions carry the time: it must not be far off. */
async function checkClock(now: number): Promise<Check> {
  const built = (await stat(join(packageRoot(), 'package.json'))).mtimeMs
  const shown = new Date(now).toISOString()
  if (now < built - 86_400_000) {
    return failure('clock', `${shown} is before this package was installed`, 'sudo timedatectl set-ntp true')
  }
  const synchronized = await promisify(execFile)('timedatectl', ['show', '-p', 'NTPSynchronized', '--value']).then(
    ({ stdout }) => stdout.trim(),
    () => '',
  )
  if (synchronized === 'yes') return ok('clock', `${shown}, synchronised`)
  if (synchronized === 'no') return warning('clock', `${shown}, not synchronised`, 'sudo timedatectl set-ntp true')
  return ok('clock', `${shown}; whether it is synchronised cannot be seen here`)
}

async function checkKey(path: string): Promise<Check> {
  try {
    await checkKeyFileMode(path)
  } catch (error) {
    return failure('key', messageOf(error), `chmod 600 ${path}`)
  }
  return readKeyFile(path).then(
    ({ address }) => ok('key', `${path} is ${address}`),
    (error: unknown) => failure('key', messageOf(error), `gonka-miner keys create --key ${path}`),
  )
}
