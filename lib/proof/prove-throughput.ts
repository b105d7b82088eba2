/** Proofs of an amount of exact integer products: matmul-pow jobs run until they have their shares. */
import { randomBytes } from 'node:crypto'
import { type MeasuredEnergy, measureEnergy, openEnergyMeter } from '../bench/energy.ts'
import type { Key } from '../chain/key-file.ts'
import { GonkaError, isGonkaError, throwIfAborted } from '../errors.ts'
import type { MatmulPowStats, NativeDevice, OnShares } from '../native-api.ts'
import { gammaLower } from '../protocol/gamma.ts'
import {
  jobProblem,
  type MatmulPowJob,
  type MatmulPowProfile,
  maxShares,
  targetFor,
  tileSize,
  winProbability,
} from '../protocol/matmul-pow.ts'
import { type ProvenWork, provenWork } from '../protocol/matmul-pow-work.ts'
import type { Environment, MatmulPowStatement, Payload } from './payload.ts'
import { environmentOf, nanoseconds } from './prove.ts'
import { signProof } from './sign.ts'

export interface ProveThroughputOptions {
  /** Signs, and its public key is hashed into every ticket. */
  readonly key: Key
  /** Several devices share the nonces of the job. */
  readonly device: NativeDevice | readonly NativeDevice[]
  readonly profile: MatmulPowProfile
  /** m, n: multiples of 64; k: a multiple of 256. */
  readonly m: number
  readonly n: number
  readonly k: number
  /** About how long the job takes, the trial before it not counted. */
  readonly seconds: number
  /** Chosen from the trial if absent. */
  readonly shares?: number
  /**
   * 32 bytes that nobody could know earlier; random ones if absent, which proves work and not speed. A function is called
   * after the trial, when the job begins.
   */
  readonly challenge?: Uint8Array | (() => Promise<Uint8Array>)
  readonly onProgress?: (text: string, fraction?: number) => void
  /** A sentence, at most once: shares and tiles have drifted apart further than chance explains. */
  readonly onAlarm?: (sentence: string) => void
  readonly signal?: AbortSignal
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

export interface ThroughputProof {
  /** The proof file. */
  readonly bytes: Uint8Array
  readonly payload: Payload<MatmulPowStatement>
  readonly work: ProvenWork
  /** What the devices ran, shares or not. */
  readonly measured: {
    readonly tiles: number
    readonly macs: number
    readonly seconds: number
    /** False if so many tiles give so many shares less often than once in 500 000 jobs: some products were wrong. */
    readonly plausible: boolean
  }
  /** Why the payload has no energy; empty if it has. */
  readonly energyReason: string
}

/** Shares of a job that may choose: the estimate's spread is then 1.6 %. */
const wantedShares = 4000
/** Fewer tiles than this per share, and a run's last part would carry much of its shares. */
const tilesPerShare = 4
/** Of either side of the comparison of shares with tiles at the end of a job. */
const implausible = 1e-6
/** The same while the job runs: it is looked at many times. */
const alarming = 1e-9
const noSharesTarget = Uint8Array.from({ length: 32 }, (_, i) => (i === 31 ? 1 : 0))
/** Largest nonceCount of a run: more than any device finishes. */
const unlimited = 2 ** 40

/** Runs a job and signs its shares. Throws ERR_GK_USAGE, ERR_GK_* of the device, and what signProof throws. */
export async function proveThroughput(options: ProveThroughputOptions): Promise<ThroughputProof> {
  const { key, profile, m, n, k, onProgress, signal, now = Date.now } = options
  const devices = [options.device].flat()
  const size = { profile, m, n, k, publicKey: key.publicKey }
  // Sizes and a challenge that is there already are refused before the trial takes time.
  const trialJob = { ...size, shares: options.shares ?? 1, target: noSharesTarget, challenge: randomBytes(32) }
  const given = options.challenge instanceof Uint8Array ? options.challenge : trialJob.challenge
  const problem = devices.length === 0 ? 'no device' : jobProblem({ ...trialJob, challenge: given })
  if (problem !== undefined) throw new GonkaError('ERR_GK_USAGE', problem)

  onProgress?.('trial')
  const trials = await Promise.all(devices.map((device) => runTrial(device, trialJob, options.seconds, signal)))
  const tilesPerSecond = trials.reduce((sum, { tiles, seconds }) => sum + tiles / seconds, 0)
  const { shares, p } = chooseDifficulty(tilesPerSecond * options.seconds, options.shares)
  const environment = await jobEnvironment(devices)
  const challenge =
    typeof options.challenge === 'function' ? await options.challenge() : (options.challenge ?? randomBytes(32))
  const job: MatmulPowJob = { ...size, shares, target: targetFor(p), challenge }

  const started = now()
  const { result: found, energy } = await withEnergy(devices, () => runJob(devices, job, options))
  const payload: Payload<MatmulPowStatement> = {
    statement: {
      kind: 'matmul_pow',
      ...job,
      // The last part may hold more; the job is for exactly so many, and these are the first.
      nonces: BigUint64Array.from(found.nonces.slice(0, shares)),
      bi: Uint32Array.from(found.bi.slice(0, shares)),
      bj: Uint32Array.from(found.bj.slice(0, shares)),
    },
    environment,
    timing: {
      startedUnixMs: BigInt(Math.round(started)),
      elapsedNs: nanoseconds(found.seconds),
      initNs: 0n,
      vouchedBy: 'prover',
    },
    energy: { method: energy.method, joules: energy.joules },
  }
  return {
    energyReason: energy.reason,
    bytes: signProof(payload, key.privateKey),
    payload,
    work: provenWork(job),
    measured: {
      tiles: found.tiles,
      macs: found.tiles * tileSize * tileSize * k,
      seconds: found.seconds,
      plausible: isPlausible(job, found.tiles, found.lastTiles),
    },
  }
}

/** Energy of all devices while the work runs; none if one of them cannot be read. */
async function withEnergy<T>(
  devices: readonly NativeDevice[],
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly energy: MeasuredEnergy }> {
  // The processor's counter knows one CPU, however many handles there are on it.
  const metered = devices.filter(({ id }, at) => devices.findIndex((other) => other.id === id) === at)
  const meters = await Promise.all(metered.map((device) => openEnergyMeter(device)))
  const run = async (at: number): Promise<{ result: T; energies: MeasuredEnergy[] }> => {
    const meter = meters[at]
    if (meter === undefined) return { result: await work(), energies: [] }
    const { result, energy } = await measureEnergy(meter, () => run(at + 1))
    return { result: result.result, energies: [energy, ...result.energies] }
  }
  try {
    const { result, energies } = await run(0)
    const missing = energies.find(({ joules }) => joules === undefined)
    if (missing) return { result, energy: missing }
    const joules = energies.reduce((sum, energy) => sum + (energy.joules ?? 0), 0)
    return {
      result,
      energy: {
        method: energies
          .map(({ method }) => method)
          .join(' + ')
          .slice(0, 500),
        joules,
        reason: '',
      },
    }
  } finally {
    for (const meter of meters) if (meter.available) meter.close()
  }
}

interface FoundShares {
  readonly nonces: bigint[]
  readonly bi: number[]
  readonly bj: number[]
  tiles: number
  /** Computed since the report before the one that reached the share count. */
  lastTiles: number
  seconds: number
}

/** All devices at once, each on its own nonces, until there are enough shares. */
async function runJob(
  devices: readonly NativeDevice[],
  job: MatmulPowJob,
  { onProgress, onAlarm, signal }: ProveThroughputOptions,
): Promise<FoundShares> {
  const { shares, k } = job
  const p = winProbability(job.target)
  const found: FoundShares = { nonces: [], bi: [], bj: [], tiles: 0, lastTiles: 0, seconds: 0 }
  const enough = new AbortController()
  const stop = signal ? AbortSignal.any([signal, enough.signal]) : enough.signal
  const since = performance.now()
  let alarmed = false
  const report = () => {
    const elapsed = (performance.now() - since) / 1000
    const rate = (tiles: number) => `${((tiles * tileSize * tileSize * k) / elapsed / 1e9).toFixed(1)} GMAC/s`
    const count = found.nonces.length
    onProgress?.(
      `${count} of ${shares} shares, proven ${rate(count / p)}, measured ${rate(found.tiles)}`,
      Math.min(1, count / shares),
    )
    if (alarmed || chanceOf(count, found.tiles * p) >= alarming) return
    alarmed = true
    onAlarm?.(
      `${found.tiles} tiles have given ${count} shares where ${(found.tiles * p).toFixed(0)} are expected, which chance ` +
        'does not explain: some products are wrong',
    )
  }
  const onShares: OnShares = (nonces, bi, bj, tiles) => {
    if (found.nonces.length >= shares) return // another device has ended the job
    for (const nonce of nonces) found.nonces.push(nonce)
    for (const row of bi) found.bi.push(row)
    for (const column of bj) found.bj.push(column)
    found.tiles += tiles
    found.lastTiles = tiles
    found.seconds = (performance.now() - since) / 1000
    report()
    if (found.nonces.length >= shares && devices.length > 1) enough.abort()
  }
  const run = async (device: NativeDevice, index: number) => {
    const request = {
      job,
      firstNonce: BigInt(index),
      nonceStep: devices.length,
      nonceCount: unlimited,
      stopShares: shares,
    }
    try {
      const stats = await device.matmulPow(request, onShares, stop)
      if (devices.length === 1) found.seconds = stats.seconds
    } catch (error) {
      // What this device had under way when another ended the job is not counted.
      if (!enough.signal.aborted || signal?.aborted || !isGonkaError(error, 'ERR_GK_CANCELLED')) throw error
    } finally {
      // One device's failure ends the job.
      if (found.nonces.length < shares) enough.abort()
    }
  }
  const ends = await Promise.allSettled(devices.map(run))
  const failure = ends.find((end) => end.status === 'rejected')
  if (failure) throw failure.reason
  throwIfAborted(signal)
  return found
}

/** Chance of shares as few, or as many, as these where `expected` are; the smaller of both sides. */
function chanceOf(count: number, expected: number): number {
  return Math.min(gammaLower(count, expected), 1 - gammaLower(count + 1, expected))
}

/** One nonce to warm up, then as many as a twentieth of the job's time holds, under a challenge of their own. */
async function runTrial(
  device: NativeDevice,
  job: MatmulPowJob,
  seconds: number,
  signal: AbortSignal | undefined,
): Promise<MatmulPowStats> {
  const limit = Math.min(2, Math.max(0.05, seconds / 20))
  // A nonce may be hours of work for a slow device: the trial ends by the clock as well.
  const timed = async (firstNonce: bigint, nonceCount: number) => {
    let tiles = 0
    const began = performance.now()
    const stop = new AbortController()
    const onShares: OnShares = (_nonces, _bi, _bj, count) => {
      tiles += count
      if (performance.now() - began > 5000 * limit) stop.abort()
    }
    try {
      const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
      return await device.matmulPow({ job, firstNonce, nonceCount }, onShares, both)
    } catch (error) {
      if (!stop.signal.aborted || signal?.aborted) throw error
      return { nonces: 0, tiles, shares: 0, seconds: (performance.now() - began) / 1000 }
    }
  }
  const warm = await timed(0n, 1)
  if (warm.nonces === 0) return warm
  return timed(1n, Math.ceil(limit / warm.seconds))
}

/** Share count and probability for a job of about `tiles` tiles; a tile wins with probability 1/4 at most. */
export function chooseDifficulty(tiles: number, wanted?: number): { readonly shares: number; readonly p: number } {
  const most = Math.max(1, Math.floor(tiles / tilesPerShare))
  const shares = Math.min(maxShares, wanted ?? Math.min(wantedShares, most))
  return { shares, p: Math.min(1 / tilesPerShare, shares / tiles) }
}

/**
 * Whether the job's last share, found in the last `lastTiles` of `tiles` tiles, came when it may: the tiles up to it,
 * times p, are close to a gamma variable of shape `shares`.
 */
export function isPlausible(job: MatmulPowJob, tiles: number, lastTiles: number): boolean {
  const p = winProbability(job.target)
  const tooSoon = gammaLower(job.shares, tiles * p) < implausible
  const tooLate = 1 - gammaLower(job.shares, (tiles - lastTiles) * p) < implausible
  return !tooSoon && !tooLate
}

/** Of the first device; the others are named behind it. */
async function jobEnvironment(devices: readonly NativeDevice[]): Promise<Environment> {
  const all = await Promise.all(
    devices.map(async (device) =>
      environmentOf(device, { implementation: await implementationOf(device), compute: 'i32' }),
    ),
  )
  const [first] = all as [Environment]
  const joined = (field: 'device' | 'deviceName') =>
    all
      .map((one) => one[field])
      .join(' + ')
      .slice(0, 500)
  return {
    ...first,
    device: joined('device'),
    deviceName: joined('deviceName'),
    threads: all.reduce((sum, { threads }) => sum + threads, 0),
  }
}

async function implementationOf(device: NativeDevice): Promise<string> {
  const { implementations } = await device.report()
  const own = implementations.matmul_pow?.find(({ accepted }) => accepted)
  return `matmul_pow=${own?.name ?? 'cpu'}`
}
