// Requests for given nonces: computed in order of arrival, compared with claimed artifacts where there are any, the verdict
// called back. One queue per engine; it waits while the engine generates. Jobs are on disk, so a restart resumes them.

import { randomUUID } from 'node:crypto'
import { GonkaError, isGonkaError, messageOf } from '../errors.ts'
import { decodeVectorBytes } from '../protocol/artifact-vector.ts'
import { judgeArtifacts } from '../protocol/fraud-test.ts'
import { encodingOf, type Generate, significanceOf, type WireArtifact } from '../protocol/wire-v2.ts'
import type { PocV2Engine, PocV2Job } from './engine.ts'
import { HttpError } from './http-error.ts'
import type { Log } from './log.ts'
import type { Store } from './outbox/store.ts'
import type { VerdictSender } from './verdicts.ts'

export type JobStatus = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled'
export type JobResult = Readonly<Record<string, unknown>>

export interface ValidationQueue {
  /** Queues a job and returns its id; throws HttpError 429 if too many nonces would wait. */
  enqueue(request: Generate): string
  /** Computes now, in place; no callback. Throws HttpError. */
  runInline(request: Generate, signal: AbortSignal): Promise<JobResult>
  result(id: string): JobResult | undefined
  /** Drops queued jobs and results, cancels the running one. */
  clear(): Promise<void>
  /** Nonces of jobs not finished. */
  readonly waitingNonces: number
  readonly running: boolean
  close(): Promise<void>
}

export interface QueueParts {
  readonly engine: PocV2Engine
  readonly index: number
  /** Resolves when the engine does not generate. */
  readonly untilFree: (signal: AbortSignal) => Promise<void>
  readonly verdicts: VerdictSender
  readonly store: Store
  readonly log: Log
  /** Text before the id in request ids: the port under which the replica is known. */
  readonly idPrefix: string
  readonly maxQueuedNonces: number
  readonly onComputed: (nonces: number, seconds: number) => void
}

interface Job {
  readonly id: string
  readonly request: Generate
  status: JobStatus
  result: JobResult | undefined
  error: string | undefined
  finishedAt: number | undefined
}

const resultMs = 300_000
const chunkMs = 60_000
const encoder = new TextEncoder()

export function jobOf(request: Pick<Generate, 'block_hash' | 'public_key' | 'params' | 'poc_stronger_rng'>): PocV2Job {
  return {
    blockHash: request.block_hash,
    publicKey: request.public_key,
    model: request.params.model,
    seqLen: request.params.seq_len,
    kDim: request.params.k_dim,
    strongerRng: request.poc_stronger_rng,
  }
}

/** Checks what the schema cannot: HttpError 400 if nonces and artifacts differ as sets, or a nonce is listed twice. */
export function checkGenerate(request: Generate): void {
  const { validation } = request
  if (validation === undefined) return
  const wanted = new Set(request.nonces)
  const claimed = new Set(validation.artifacts.map((a) => a.nonce))
  const equal = wanted.size === claimed.size && [...wanted].every((nonce) => claimed.has(nonce))
  if (!equal) throw new HttpError(400, 'nonces and validation.artifacts must name the same nonces')
  if (claimed.size !== validation.artifacts.length) {
    throw new HttpError(400, 'validation.artifacts names a nonce more than once')
  }
}

export async function openValidationQueue(parts: QueueParts): Promise<ValidationQueue> {
  const { engine, store, log, verdicts } = parts
  const jobs = new Map<string, Job>()
  const queue: Job[] = []
  const closing = new AbortController()
  let current: { job: Job; abort: AbortController } | undefined
  let waitingNonces = 0
  let worker: Promise<void> | undefined

  const key = (id: string) => `job/${parts.index}/${id}`

  const compute = async (request: Generate, signal: AbortSignal) => {
    const computed = new Map<number, Uint8Array>()
    const size = request.batch_size === 0 ? Math.max(1, request.nonces.length) : request.batch_size
    const limit = new AbortController()
    let timer = setTimeout(() => limit.abort(), chunkMs)
    let before = performance.now()
    try {
      const both = AbortSignal.any([signal, limit.signal])
      for await (const batch of engine.generate(jobOf(request), request.nonces, size, both)) {
        for (const { nonce, vector } of batch.artifacts) computed.set(nonce, vector)
        parts.onComputed(batch.computed.length, (performance.now() - before) / 1000)
        before = performance.now()
        clearTimeout(timer)
        timer = setTimeout(() => limit.abort(), chunkMs)
      }
    } catch (error) {
      if (limit.signal.aborted && !signal.aborted) throw new Error(`a batch took more than ${chunkMs / 1000} s`)
      throw error
    } finally {
      clearTimeout(timer)
    }
    return computed
  }

  const evaluate = (request: Generate, computed: ReadonlyMap<number, Uint8Array>): JobResult => {
    if (request.validation === undefined) {
      const artifacts: WireArtifact[] = []
      for (const nonce of request.nonces) {
        const vector = computed.get(nonce)
        if (vector !== undefined) artifacts.push({ nonce, vector_b64: Buffer.from(vector).toString('base64') })
      }
      return { artifacts, encoding: encodingOf(request.params.k_dim) }
    }
    const significance = significanceOf(request.stat_test)
    const recomputed = new Map([...computed].map(([nonce, bytes]) => [nonce, decodeVectorBytes(bytes)] as const))
    const claims = request.validation.artifacts.map((a) => ({ nonce: a.nonce, vectorBase64: a.vector_b64 }))
    const verdict = judgeArtifacts(claims, recomputed, {
      distThreshold: request.stat_test?.dist_threshold ?? 0.02,
      pMismatch: request.stat_test?.p_mismatch ?? 0.001,
      significance: significance.value,
    })
    if (verdict === undefined) {
      throw new Error(`only ${computed.size} of ${request.nonces.length} nonces could be recomputed: no verdict`)
    }
    return {
      n_total: verdict.nTotal,
      n_mismatch: verdict.nMismatch,
      mismatch_nonces: verdict.mismatchNonces,
      p_value: verdict.pValue,
      fraud_detected: verdict.fraudDetected,
      n_excluded: verdict.nExcluded,
      excluded_nonces: verdict.excludedNonces,
      fraud_threshold: significance.value,
      fraud_threshold_source: significance.source,
    }
  }

  const finish = async (job: Job, status: JobStatus, result?: JobResult, error?: string) => {
    job.status = status
    job.result = result
    job.error = error
    job.finishedAt = performance.now()
    waitingNonces -= job.request.nonces.length
  }

  const runJob = async (job: Job, abort: AbortController): Promise<void> => {
    const { request } = job
    try {
      await parts.untilFree(abort.signal)
      job.status = 'running'
      const result = evaluate(request, await compute(request, abort.signal))
      // The verdict is stored before the job is forgotten: a crash in between repeats the job, it loses nothing.
      if (request.url !== undefined && request.validation !== undefined) await sendVerdict(job, result)
      await finish(job, 'completed', result)
    } catch (error) {
      if (abort.signal.aborted) {
        await finish(job, 'cancelled')
        // A job interrupted by shutdown stays on disk and is resumed.
        if (closing.signal.aborted) return
      } else {
        log.error({ request_id: job.id, error: messageOf(error) }, 'validation job failed')
        await finish(job, 'failed', undefined, messageOf(error))
      }
    }
    void store.write([[key(job.id), null]])
  }

  const sendVerdict = (job: Job, result: JobResult): Promise<void> => {
    const { request } = job
    const { fraud_threshold: _, fraud_threshold_source: __, ...fields } = result
    return verdicts.send(`${request.url}/validated`, {
      request_id: job.id,
      block_hash: request.block_hash,
      block_height: request.block_height,
      public_key: request.public_key,
      node_id: request.node_id,
      ...fields,
    })
  }

  const work = async () => {
    for (let job = queue.shift(); job !== undefined && !closing.signal.aborted; job = queue.shift()) {
      const abort = new AbortController()
      current = { job, abort }
      await runJob(job, abort)
      current = undefined
      const old = performance.now() - resultMs
      for (const [id, done] of jobs) if (done.finishedAt !== undefined && done.finishedAt < old) jobs.delete(id)
    }
    worker = undefined
  }

  const admit = (id: string, request: Generate) => {
    const job: Job = { id, request, status: 'queued', result: undefined, error: undefined, finishedAt: undefined }
    jobs.set(id, job)
    queue.push(job)
    waitingNonces += request.nonces.length
    worker ??= Promise.resolve().then(work)
  }

  for (const [stored, bytes] of await store.list(`job/${parts.index}/`)) {
    admit(stored.slice(`job/${parts.index}/`.length), JSON.parse(new TextDecoder().decode(bytes)) as Generate)
  }

  return {
    enqueue(request) {
      if (waitingNonces + request.nonces.length > parts.maxQueuedNonces) {
        throw new HttpError(429, `queue is full: ${waitingNonces} nonces wait, at most ${parts.maxQueuedNonces} may`)
      }
      const id = `${parts.idPrefix}${randomUUID()}`
      void store.write([[key(id), encoder.encode(JSON.stringify(request))]])
      admit(id, request)
      return id
    },
    async runInline(request, signal) {
      try {
        return evaluate(request, await compute(request, AbortSignal.any([signal, closing.signal])))
      } catch (error) {
        if (isGonkaError(error, 'ERR_GK_CANCELLED')) throw new HttpError(503, 'cancelled')
        if (error instanceof GonkaError) throw error
        throw new HttpError(503, messageOf(error))
      }
    },
    result(id) {
      const job = jobs.get(id)
      if (job === undefined) return undefined
      if (job.finishedAt !== undefined && performance.now() - job.finishedAt > resultMs) return undefined
      return {
        status: job.status,
        request_id: job.id,
        ...(job.status === 'completed' ? job.result : {}),
        ...(job.error === undefined ? {} : { error: job.error }),
      }
    },
    async clear() {
      const gone = queue.splice(0)
      for (const job of gone) {
        waitingNonces -= job.request.nonces.length
        void store.write([[key(job.id), null]])
      }
      current?.abort.abort()
      await worker?.catch(() => undefined)
      jobs.clear()
    },
    get waitingNonces() {
      return waitingNonces
    },
    get running() {
      return current?.job.status === 'running'
    },
    async close() {
      closing.abort()
      queue.length = 0
      current?.abort.abort()
      await worker
    },
  }
}
