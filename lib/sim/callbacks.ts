// What a host does with the callbacks of its ML nodes: takes artifacts while the window is open, and verdicts while the
// stage is validated.

import { decodeBase64 } from '../protocol/artifact-vector.ts'
import { type ArtifactStore, createArtifactStore, forgedVector } from './artifact-store.ts'
import type { Scheme } from './broker.ts'
import type { SimChain } from './chain.ts'
import type { HostFault } from './faults.ts'

export interface HostStageReport {
  received: number
  duplicates: number
  refused: Record<string, number>
  batches: number
  /** Every nonce that came in a well-formed batch, in time or not. */
  readonly offered: Set<number>
  /** Nonces that were offered when the window had closed: honest work that came too late. */
  readonly late: Set<number>
}

export interface RouteAnswer {
  readonly status: number
  readonly body: unknown
}

export interface Callbacks {
  /** Nothing was received, or what was. */
  report(height: number): HostStageReport
  readonly reports: ReadonlyMap<number, HostStageReport>
  /** v2 artifacts of a stage; empty before the first. */
  store(height: number): ArtifactStore
  /** The store if anything asked for it or wrote to it. */
  storeIfAny(height: number): ArtifactStore | undefined
  /** v1 nonces and distances of a stage. */
  v1Batches(height: number): ReadonlyMap<number, number>
  take(action: 'generated' | 'validated', body: Record<string, unknown>): RouteAnswer
}

export interface CallbackParts {
  readonly chain: SimChain
  readonly scheme: Scheme
  readonly fault: HostFault
  readonly nodeCount: number
  /** A batch was taken. */
  readonly onTaken: (artifacts: number) => void
  /** A verdict on a participant. */
  readonly onVerdict: (height: number, publicKey: string, weight: bigint, shown: string) => void
}

export function createCallbacks(parts: CallbackParts): Callbacks {
  const { chain, scheme, fault } = parts
  const stores = new Map<number, ArtifactStore>()
  const v1Stores = new Map<number, Map<number, number>>()
  const reports = new Map<number, HostStageReport>()

  const storeOf = (height: number) => {
    let store = stores.get(height)
    if (store === undefined) {
      store = createArtifactStore()
      stores.set(height, store)
    }
    return store
  }
  const reportOf = (height: number) => {
    let report = reports.get(height)
    if (report === undefined) {
      report = { received: 0, duplicates: 0, refused: {}, batches: 0, offered: new Set(), late: new Set() }
      reports.set(height, report)
    }
    return report
  }
  const refused = (height: number, status: number, error: string) => {
    const report = reportOf(height)
    const key = `${status} ${error}`
    report.refused[key] = (report.refused[key] ?? 0) + 1
    return { status, body: { error } }
  }

  const windowProblem = (height: number): { status: number; error: string } | undefined => {
    const last = chain.stages().at(-1)
    if (last === undefined || last.height !== height) {
      return { status: 400, error: 'block_height is not the active PoC stage' }
    }
    const at = chain.height()
    // What came after the last commit could not be committed any more.
    return at < last.heights.start || at >= last.heights.exchangeEnd
      ? { status: 503, error: 'not in PoC generate phase' }
      : undefined
  }

  const takeGenerated = (body: Record<string, unknown>) => {
    const height = Number(body.block_height)
    const number = Number(body.node_id)
    if (!(number >= 1 && number <= parts.nodeCount)) return refused(height, 400, 'unknown node_num')
    const report = reportOf(height)
    const nonces = (body.nonces ?? (body.artifacts as { nonce: number }[]).map((a) => a.nonce)) as number[]
    for (const nonce of nonces) report.offered.add(nonce)
    const problem = windowProblem(height)
    if (problem !== undefined) {
      for (const nonce of nonces) report.late.add(nonce)
      return refused(height, problem.status, problem.error)
    }
    report.batches++
    parts.onTaken(nonces.length)
    if (scheme.kind === 'v1') {
      const { dist } = body as { dist: number[] }
      let known = v1Stores.get(height)
      if (known === undefined) {
        known = new Map()
        v1Stores.set(height, known)
      }
      nonces.forEach((nonce, i) => {
        report.received++
        if (known.has(nonce)) report.duplicates++
        else known.set(nonce, dist[i] as number)
        // A distance below the target that nobody found, for a nonce of number 0, which no node has.
        if (fault === 'forger') known.set(nonce - number, scheme.rTarget * 0.5)
      })
      return { status: 200, body: undefined }
    }
    const artifacts: { nonce: number; vector: Uint8Array }[] = []
    for (const { nonce, vector_b64 } of body.artifacts as { nonce: number; vector_b64: string }[]) {
      const vector = decodeBase64(vector_b64)
      if (vector === undefined) return refused(height, 400, 'invalid base64 in artifact vector')
      if (vector.length === 0) return refused(height, 400, 'empty artifact vector')
      // A forger claims twice the work: its own artifacts, and as many that nobody computed.
      artifacts.push({ nonce, vector })
      // They take the nonces of number 0, which no node has, so nothing but recomputation betrays them.
      if (fault === 'forger') artifacts.push({ nonce: nonce - number, vector: forgedVector(nonce) })
    }
    const added = storeOf(height).add(artifacts)
    report.received += artifacts.length
    report.duplicates += artifacts.length - added
    return { status: 200, body: undefined }
  }

  const takeValidated = (body: Record<string, unknown>) => {
    const stage = chain.stage()
    const at = chain.height()
    if (stage === undefined || stage.height !== body.block_height || at < stage.heights.validationStart) {
      return { status: 503, body: { error: 'not in PoC validate phase' } }
    }
    const total = scheme.kind === 'v1' ? (body.nonces as number[]).length : Number(body.n_total)
    const fraud = body.fraud_detected === true || total <= 0
    const wrong =
      scheme.kind === 'v1' ? `${body.n_invalid} of ${total} invalid` : `${body.n_mismatch} of ${total} mismatch`
    parts.onVerdict(stage.height, String(body.public_key), fraud ? -1n : BigInt(total), wrong)
    return { status: 200, body: undefined }
  }

  return {
    report: reportOf,
    reports,
    store: storeOf,
    storeIfAny: (height) => stores.get(height),
    v1Batches: (height) => v1Stores.get(height) ?? new Map(),
    take: (action, body) => (action === 'generated' ? takeGenerated(body) : takeValidated(body)),
  }
}
