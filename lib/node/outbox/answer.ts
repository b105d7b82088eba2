// What goes to the network node, and what its answer means. Protocol section 3.1. Pure.

import { encodingOf, type GeneratedBody } from '../../protocol/wire-v2.ts'
import type { Answer } from '../http-client.ts'
import { distanceOf, type StageRecord, type StoredArtifact } from './stages.ts'

/** The body of a delivery: a v2 GeneratedBody, or a v1 ProofBatch. */
export function generatedBody(
  record: StageRecord,
  requestId: string,
  artifacts: readonly StoredArtifact[],
): Readonly<Record<string, unknown>> | GeneratedBody {
  const common = {
    block_hash: record.blockHash,
    block_height: record.blockHeight,
    public_key: record.publicKey,
    node_id: record.nodeId,
  }
  if (record.kind === 'v1') {
    return { ...common, nonces: artifacts.map((a) => a.nonce), dist: artifacts.map(distanceOf) }
  }
  return {
    ...common,
    artifacts: artifacts.map((a) => ({ nonce: a.nonce, vector_b64: Buffer.from(a.payload).toString('base64') })),
    encoding: encodingOf(record.kDim),
    request_id: requestId,
  }
}

export type Meaning =
  /** Stored by the network node. */
  | { readonly kind: 'acknowledged' }
  /** The stage is over: nothing of it can count. */
  | { readonly kind: 'stale'; readonly reason: string }
  /** This batch will never be taken. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Smaller batches may be taken. */
  | { readonly kind: 'too large'; readonly reason: string }
  /** The same batch again, later. */
  | { readonly kind: 'retry'; readonly reason: string }

const staleStage = /not the active PoC stage/i

/** 2xx alone acknowledges: a redirect comes from something in between, which has stored nothing. */
export function meaningOf({ status, body }: Answer): Meaning {
  if (status >= 200 && status < 300) return { kind: 'acknowledged' }
  const reason = `${status} ${reasonOf(body)}`.trim()
  if (status === 400 && staleStage.test(body)) return { kind: 'stale', reason }
  if (status === 400 || status === 422) return { kind: 'refused', reason }
  return status === 413 ? { kind: 'too large', reason } : { kind: 'retry', reason }
}

/** One line of an answer's body, for logs and counters. */
function reasonOf(body: string): string {
  let text = body
  try {
    const parsed = JSON.parse(body) as { error?: unknown; detail?: unknown; message?: unknown } | null
    const found = parsed?.error ?? parsed?.detail ?? parsed?.message
    if (typeof found === 'string') text = found
  } catch {
    // Not JSON: the text itself is the reason.
  }
  return text.replace(/\s+/g, ' ').trim().slice(0, 120)
}
