/**
 * Validation of PoC v2 artifacts as the reference node does it: vectors against recomputed vectors, or claimed
 * trajectories against margins; then the binomial test.
 * Source: vllm/poc/validation.py and the plugin's validation.py; golden/v2/validation.json.
 */
import { GonkaError } from '../errors.ts'
import { decodeVector } from './artifact-vector.ts'
import { binomialUpperTail } from './binomial.ts'
import type { StatTest } from './fraud-test.ts'

/** A recomputed nonce. */
export interface ComputedArtifact {
  readonly nonce: number
  /** Absent in trajectory mode. */
  readonly vector?: Float32Array
  /** Trajectory mode: points the prover claims, in order; empty: none. */
  readonly points?: readonly number[]
  /** Steps whose claim differs from the recomputed point; -1: no claim was forced. */
  readonly sphereMismatches?: number
  /** Largest margin over those steps. */
  readonly largestMargin?: number
}

export interface ValidationRequest {
  readonly computed: readonly ComputedArtifact[]
  /** Claimed vectors in base64 by nonce. */
  readonly claims: ReadonlyMap<number, string>
  /** Trials of the binomial test, where `requested` is absent: the number the caller asked for. */
  readonly nTotal: number
  readonly kDim: number
  /** Trajectories instead of vectors are compared: a nonce mismatches if its margin is above distThreshold. */
  readonly trajectory?: boolean
  /** Nonces that were asked for: those not computed are excluded, and too many of them void the verdict. */
  readonly requested?: readonly number[]
}

export interface ValidationResult {
  readonly nTotal: number
  readonly mismatchNonces: readonly number[]
  readonly excludedNonces: readonly number[]
  /** Distance of every compared vector; NaN where the claim is not comparable or not a number. */
  readonly distances: ReadonlyMap<number, number>
  readonly pValue: number
  readonly fraudDetected: boolean
}

/** |a - b| with fp32 values, rounded to fp32. */
export function vectorDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += Math.fround((a[i] as number) - (b[i] as number)) ** 2
  return Math.fround(Math.sqrt(sum))
}

/**
 * The verdict. A nonce without a claim, or with an empty one, is not compared but stays among the trials; so does a
 * trajectory without points. A recomputed vector that holds a NaN equals every claim.
 * Throws ERR_GK_UNSUPPORTED where there can be no verdict: a trajectory that was not forced, or more than
 * max(1, a tenth) of the requested nonces not computed.
 */
export function validateArtifacts(request: ValidationRequest, test: StatTest): ValidationResult {
  const { computed, claims, kDim, requested } = request
  const excludedNonces = requested === undefined ? [] : missing(requested, computed)
  if (requested !== undefined && excludedNonces.length > Math.max(1, Math.floor(requested.length / 10))) {
    throw new GonkaError(
      'ERR_GK_UNSUPPORTED',
      `no verdict: ${excludedNonces.length} of ${requested.length} nonces could not be recomputed`,
    )
  }
  const nTotal = requested === undefined ? request.nTotal : requested.length - excludedNonces.length
  const mismatchNonces: number[] = []
  const distances = new Map<number, number>()
  for (const artifact of computed) {
    if (request.trajectory) {
      if (trajectoryMismatches(artifact, test.distThreshold)) mismatchNonces.push(artifact.nonce)
      continue
    }
    const claim = claims.get(artifact.nonce)
    if (claim === undefined || claim === '' || artifact.vector === undefined) continue
    const claimed = decodeVector(claim)
    const comparable =
      claimed?.length === kDim && artifact.vector.length === kDim && claimed.every((value) => Number.isFinite(value))
    const distance = comparable ? vectorDistance(artifact.vector, claimed) : Number.NaN
    distances.set(artifact.nonce, distance)
    if (!comparable || distance > test.distThreshold) mismatchNonces.push(artifact.nonce)
  }
  const pValue = nTotal === 0 ? 1 : binomialUpperTail(nTotal, mismatchNonces.length, test.pMismatch)
  return { nTotal, mismatchNonces, excludedNonces, distances, pValue, fraudDetected: pValue < test.significance }
}

function missing(requested: readonly number[], computed: readonly ComputedArtifact[]): number[] {
  const there = new Set(computed.map((artifact) => artifact.nonce))
  return requested.filter((nonce) => !there.has(nonce))
}

function trajectoryMismatches(artifact: ComputedArtifact, threshold: number): boolean {
  if (artifact.points === undefined || artifact.points.length === 0) return false
  if (artifact.sphereMismatches === undefined || artifact.sphereMismatches < 0) {
    throw new GonkaError('ERR_GK_UNSUPPORTED', `no verdict: nonce ${artifact.nonce} was recomputed without its claim`)
  }
  return artifact.sphereMismatches > 0 && (artifact.largestMargin ?? 0) > threshold
}
