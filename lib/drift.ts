/** How far two engines' artifacts for the same nonces are apart, and where they part. */

import type { ArtifactFile, ArtifactTrace } from './protocol/artifact-file.ts'
import { decodeVector } from './protocol/artifact-vector.ts'
import type { StatTest } from './protocol/fraud-test.ts'
import { type ValidationResult, validateArtifacts, vectorDistance } from './protocol/validation-v2.ts'

export interface DriftVerdict {
  readonly test: StatTest
  readonly nMismatch: number
  readonly pValue: number
  readonly fraudDetected: boolean
}

export interface LayerDrift {
  readonly layer: number
  /** |a - b| / |a| of the last token's residual stream, over the traced nonces. */
  readonly median: number
  readonly largest: number
}

export interface Drift {
  /** Nonces in both files, ascending, with their L2 distances; NaN where a vector is not comparable. */
  readonly nonces: readonly number[]
  readonly distances: readonly number[]
  readonly onlyInA: readonly number[]
  readonly onlyInB: readonly number[]
  /** Of the comparable distances. */
  readonly quantiles: readonly { readonly q: number; readonly distance: number }[]
  readonly histogram: readonly { readonly from: number; readonly to: number; readonly count: number }[]
  readonly verdicts: readonly DriftVerdict[]
  readonly layers: readonly LayerDrift[]
  /** Of the state after the final norm; undefined without traces. */
  readonly lastHidden: LayerDrift | undefined
}

const quantiles = [0, 0.25, 0.5, 0.75, 0.9, 0.99, 1] as const
/** Bounds of the histogram: steps of about a factor of three, with 0 apart. */
const bounds = [0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 2.0001] as const

/** Compares b with a as a validator would: a is recomputed, b is claimed. */
export function compareFiles(a: ArtifactFile, b: ArtifactFile, tests: readonly StatTest[]): Drift {
  const nonces = [...a.artifacts.keys()].filter((nonce) => b.artifacts.has(nonce)).sort((x, y) => x - y)
  const vectors = nonces.map((nonce) => decodeVector(a.artifacts.get(nonce) ?? '') ?? new Float32Array())
  const computed = nonces.map((nonce, i) => ({ nonce, vector: vectors[i] as Float32Array }))
  const judge = (test: StatTest): ValidationResult =>
    validateArtifacts({ computed, claims: b.artifacts, nTotal: nonces.length, kDim: a.kDim }, test)
  const distances = nonces.map((nonce, i) => {
    const claimed = decodeVector(b.artifacts.get(nonce) ?? '')
    const own = vectors[i] as Float32Array
    return claimed?.length === own.length ? vectorDistance(own, claimed) : Number.NaN
  })
  const sorted = distances.filter((distance) => !Number.isNaN(distance)).sort((x, y) => x - y)
  return {
    nonces,
    distances,
    onlyInA: [...a.artifacts.keys()].filter((nonce) => !b.artifacts.has(nonce)),
    onlyInB: [...b.artifacts.keys()].filter((nonce) => !a.artifacts.has(nonce)),
    quantiles: sorted.length === 0 ? [] : quantiles.map((q) => ({ q, distance: quantile(sorted, q) })),
    histogram: histogram(sorted),
    verdicts: tests.map((test) => {
      const { mismatchNonces, pValue, fraudDetected } = judge(test)
      return { test, nMismatch: mismatchNonces.length, pValue, fraudDetected }
    }),
    ...compareTraces(a.traces, b.traces),
  }
}

/** Linear interpolation between order statistics. */
function quantile(sorted: readonly number[], q: number): number {
  const at = q * (sorted.length - 1)
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]] as [number, number]
  return below + (above - below) * (at - Math.floor(at))
}

function histogram(sorted: readonly number[]): Drift['histogram'] {
  const bins = [{ from: 0, to: 0, count: sorted.filter((distance) => distance === 0).length }]
  for (let i = 1; i < bounds.length; i++) {
    const [from, to] = [bounds[i - 1] as number, bounds[i] as number]
    bins.push({ from, to, count: sorted.filter((distance) => distance > from && distance <= to).length })
  }
  return bins.filter(({ count }) => count > 0)
}

function compareTraces(a: readonly ArtifactTrace[], b: readonly ArtifactTrace[]): Pick<Drift, 'layers' | 'lastHidden'> {
  const pairs = a.flatMap((trace) => {
    const other = b.find(({ nonce }) => nonce === trace.nonce)
    return other ? [[trace, other] as const] : []
  })
  if (pairs.length === 0) return { layers: [], lastHidden: undefined }
  const summary = (layer: number, pick: (trace: ArtifactTrace) => Float32Array | undefined): LayerDrift => {
    const values = pairs
      .map(([left, right]) => relativeDistance(pick(left), pick(right)))
      // What is not a number is the largest drift of all.
      .sort((x, y) => Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || x - y)
    return { layer, median: quantile(values, 0.5), largest: values.at(-1) as number }
  }
  const count = Math.max(...pairs.map(([left, right]) => Math.max(left.layers.length, right.layers.length)))
  return {
    layers: Array.from({ length: count }, (_, i) => summary(i, (trace) => trace.layers[i])),
    lastHidden: summary(count, (trace) => trace.lastHidden),
  }
}

function relativeDistance(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (a === undefined || b === undefined || a.length !== b.length) return Number.NaN
  let difference = 0
  let size = 0
  for (let i = 0; i < a.length; i++) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2
    size += (a[i] as number) ** 2
  }
  return difference === 0 ? 0 : Math.sqrt(difference / size)
}
