/** Proofs of an amount of exact integer products: matmul-pow jobs run until they have their shares. */
import { randomBytes } from 'node:crypto'
import type { Key } from '../chain/key-file.ts'
import { GonkaError } from '../errors.ts'
import type { MatmulPowStats, NativeDevice } from '../native-api.ts'
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
import { energyNotAvailable, type MatmulPowStatement, type Payload } from './payload.ts'
import { environmentOf, nanoseconds } from './prove.ts'
import { signProof } from './sign.ts'

export interface ProveThroughputOptions {
  /** Signs, and its public key is hashed into every ticket. */
  readonly key: Key
  readonly device: NativeDevice
  readonly profile: MatmulPowProfile
  /** m, n: multiples of 64; k: a multiple of 256. */
  readonly m: number
  readonly n: number
  readonly k: number
  /** About how long the job takes, the trial before it not counted. */
  readonly seconds: number
  /** Chosen from the trial if absent. */
  readonly shares?: number
  /** 32 bytes that nobody could know earlier; random ones if absent, which proves work and not speed. */
  readonly challenge?: Uint8Array
  readonly onProgress?: (text: string, fraction?: number) => void
  readonly signal?: AbortSignal
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

export interface ThroughputProof {
  /** The proof file. */
  readonly bytes: Uint8Array
  readonly payload: Payload<MatmulPowStatement>
  readonly work: ProvenWork
  /** What the device ran, shares or not. */
  readonly measured: {
    readonly tiles: number
    readonly macs: number
    readonly seconds: number
    /** False if so many tiles give so many shares less often than once in 500 000 jobs: some products were wrong. */
    readonly plausible: boolean
  }
}

/** Shares of a job that may choose: the estimate's spread is then 1.6 %. */
const wantedShares = 4000
/** Fewer tiles than this per share, and a run's last nonce would carry much of its shares. */
const tilesPerShare = 4
/** Of either side of the comparison of shares with tiles. */
const implausible = 1e-6
const noSharesTarget = Uint8Array.from({ length: 32 }, (_, i) => (i === 31 ? 1 : 0))
/** Largest nonceCount of a run: more than any device finishes. */
const unlimited = Number.MAX_SAFE_INTEGER

/** Runs a job and signs its shares. Throws ERR_GK_USAGE, ERR_GK_* of the device, and what signProof throws. */
export async function proveThroughput(options: ProveThroughputOptions): Promise<ThroughputProof> {
  const { key, device, profile, m, n, k, onProgress, signal, now = Date.now } = options
  const size = { profile, m, n, k, publicKey: key.publicKey }
  const challenge = options.challenge ?? randomBytes(32)
  // Sizes and challenge are refused before the trial takes time.
  const trialJob = { ...size, shares: options.shares ?? 1, target: noSharesTarget, challenge: randomBytes(32) }
  const problem = jobProblem({ ...trialJob, challenge })
  if (problem !== undefined) throw new GonkaError('ERR_GK_USAGE', problem)

  onProgress?.('trial')
  const trial = await runTrial(device, trialJob, options.seconds, signal)
  const tilesPerNonce = (m / tileSize) * (n / tileSize)
  const expectedTiles = ((trial.nonces * tilesPerNonce) / trial.seconds) * options.seconds
  const { shares, p } = chooseDifficulty(expectedTiles, options.shares)
  const job: MatmulPowJob = { ...size, shares, target: targetFor(p), challenge }

  const nonces: bigint[] = []
  const bi: number[] = []
  const bj: number[] = []
  let finished = 0
  const started = now()
  const since = performance.now()
  const stats = await device.matmulPow(
    { job, firstNonce: 0n, nonceCount: unlimited, stopShares: shares },
    (foundNonces, foundBi, foundBj, count) => {
      for (const nonce of foundNonces) nonces.push(nonce)
      for (const row of foundBi) bi.push(row)
      for (const column of foundBj) bj.push(column)
      finished += count
      const elapsed = (performance.now() - since) / 1000
      const macsPerTile = tileSize * tileSize * k
      const rate = (tiles: number) => `${((tiles * macsPerTile) / elapsed / 1e9).toFixed(1)} GMAC/s`
      const text = `${nonces.length} of ${shares} shares, proven ${rate(nonces.length / p)}, measured ${rate(finished * tilesPerNonce)}`
      onProgress?.(text, Math.min(1, nonces.length / shares))
    },
    signal,
  )
  const payload: Payload<MatmulPowStatement> = {
    statement: {
      kind: 'matmul_pow',
      ...job,
      // The last nonce may hold more; the job is for exactly so many, and these are the first.
      nonces: BigUint64Array.from(nonces.slice(0, shares)),
      bi: Uint32Array.from(bi.slice(0, shares)),
      bj: Uint32Array.from(bj.slice(0, shares)),
    },
    environment: await environmentOf(device, { implementation: await implementationOf(device), compute: 'i32' }),
    timing: {
      startedUnixMs: BigInt(Math.round(started)),
      elapsedNs: nanoseconds(stats.seconds),
      initNs: 0n,
      vouchedBy: 'prover',
    },
    energy: energyNotAvailable,
  }
  const tiles = stats.nonces * tilesPerNonce
  return {
    bytes: signProof(payload, key.privateKey),
    payload,
    work: provenWork(job),
    measured: {
      tiles,
      macs: tiles * tileSize * tileSize * k,
      seconds: stats.seconds,
      plausible: isPlausible(job, tiles, tilesPerNonce),
    },
  }
}

/** One nonce to warm up, then as many as a twentieth of the job's time holds, under a challenge of their own. */
async function runTrial(
  device: NativeDevice,
  job: MatmulPowJob,
  seconds: number,
  signal: AbortSignal | undefined,
): Promise<MatmulPowStats> {
  const ignore = () => undefined
  const warm = await device.matmulPow({ job, firstNonce: 0n, nonceCount: 1 }, ignore, signal)
  const nonceCount = Math.ceil(Math.min(2, Math.max(0.05, seconds / 20)) / warm.seconds)
  return device.matmulPow({ job, firstNonce: 1n, nonceCount }, ignore, signal)
}

/** Share count and probability for a job of about `tiles` tiles; a tile wins with probability 1/4 at most. */
export function chooseDifficulty(tiles: number, wanted?: number): { readonly shares: number; readonly p: number } {
  const most = Math.max(1, Math.floor(tiles / tilesPerShare))
  const shares = Math.min(maxShares, wanted ?? Math.min(wantedShares, most))
  return { shares, p: Math.min(1 / tilesPerShare, shares / tiles) }
}

/**
 * Whether the job's last share, found in the last nonce of `tiles` tiles, came when it may: the tiles up to it, times p,
 * are close to a gamma variable of shape `shares`.
 */
export function isPlausible(job: MatmulPowJob, tiles: number, tilesPerNonce: number): boolean {
  const p = winProbability(job.target)
  const tooSoon = gammaLower(job.shares, tiles * p) < implausible
  const tooLate = 1 - gammaLower(job.shares, (tiles - tilesPerNonce) * p) < implausible
  return !tooSoon && !tooLate
}

async function implementationOf(device: NativeDevice): Promise<string> {
  const { implementations } = await device.report()
  const own = implementations.matmul_pow?.find(({ accepted }) => accepted)
  return `matmul_pow=${own?.name ?? 'cpu'}`
}
