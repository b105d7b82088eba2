// PoC v1 of one node: a model seeded by the block hash, nonces searched for distances below the target, batches of others
// validated. For private networks.

import { isGonkaError, messageOf } from '../errors.ts'
import type { PocV1Params, PocV1Session, Telemetry } from '../native-api.ts'
import { belowTarget } from '../protocol/fraud.ts'
import type { InitV1, ProofBatch } from '../protocol/wire-v1.ts'
import type { AddressRule } from './address-rule.ts'
import { checkCallback } from './callback-url.ts'
import { createExclusive } from './exclusive.ts'
import { errorAfter, generateStage } from './generation.ts'
import { HttpError } from './http-error.ts'
import { type Log, loggedUrl } from './log.ts'
import type { Outbox } from './outbox/outbox.ts'
import type { StageLimits } from './outbox/settings.ts'
import { distanceBytes, type StageRecord, type StoredArtifact } from './outbox/stages.ts'
import { validateBatch } from './poc-v1-validation.ts'
import type { VerdictSender } from './verdicts.ts'

export type PocV1Status = 'IDLE' | 'NOT_LOADED' | 'LOADING' | 'GENERATING' | 'VALIDATING' | 'STOPPED'

/** One device that can run PoC v1; several share the nonces of the node. */
export interface PocV1Engine {
  readonly name: string
  open(params: PocV1Params, blockHash: string, signal: AbortSignal): Promise<PocV1Model>
  /** Sensors of the device; undefined where it has none that can be read now. */
  telemetry?(): Promise<Telemetry | undefined>
  close(): Promise<void>
}

/** A loaded model. A run that fails may be tried again: a device that fell out is opened anew for it. */
export type PocV1Model = Pick<PocV1Session, 'run' | 'close'>

export interface PocV1 {
  /** Loads the model for a stage and, if a phase is given, starts it. */
  init(request: InitV1, phase: 'generate' | 'validate' | undefined): Promise<Record<string, unknown>>
  setPhase(phase: 'generate' | 'validate'): Promise<Record<string, unknown>>
  /** Queues a batch of another participant. */
  validate(batch: ProofBatch): Promise<Record<string, unknown>>
  status(): Record<string, unknown>
  stop(): Promise<void>
  healthy(): boolean
  readonly running: boolean
  close(): Promise<void>
}

export interface PocV1Parts {
  readonly engines: readonly PocV1Engine[]
  readonly outbox: Outbox
  readonly verdicts: VerdictSender
  readonly rule: AddressRule
  readonly log: Log
  /** Takes or gives back the node; throws HttpError 409 if another service runs. */
  readonly claim: (running: boolean) => void
  readonly limits: StageLimits
  readonly stopFlushMs: number
  readonly maxQueuedNonces: number
  readonly onComputed: (engine: string, purpose: 'generate' | 'validate', nonces: number) => void
  readonly onFailure: (engine: string) => void
}

interface Round {
  readonly request: InitV1
  readonly abort: AbortController
  phase: 'generate' | 'validate' | undefined
  phaseAbort: AbortController
  loading: boolean
  sessions: PocV1Model[]
  error: string | null
  /** Engines none of whose last batches could be computed. */
  readonly failing: Set<string>
  /** What is being generated. */
  stageId: string | undefined
  tasks: Promise<void>[]
  queue: ProofBatch[]
  queuedNonces: number
  validating: Promise<void> | undefined
}

export function createPocV1(parts: PocV1Parts): PocV1 {
  const { engines, outbox, verdicts, rule, log } = parts
  let round: Round | undefined
  let stopped = false
  const exclusive = createExclusive()

  const status = () => {
    const of = (r: Round): PocV1Status => {
      if (r.loading) return 'LOADING'
      if (r.error !== null) return 'NOT_LOADED'
      return r.phase === 'generate' ? 'GENERATING' : r.phase === 'validate' ? 'VALIDATING' : 'IDLE'
    }
    return {
      status: round === undefined ? (stopped ? 'STOPPED' : 'IDLE') : of(round),
      is_model_initialized: round !== undefined && round.sessions.length > 0,
      ...(round?.error ? { error: round.error } : {}),
    }
  }
  const ok = () => ({ status: 'OK', pow_status: status() })

  const stageOf = (request: InitV1): StageRecord =>
    outbox.openStage(
      {
        kind: 'v1',
        url: request.url ?? null,
        blockHash: request.block_hash,
        blockHeight: request.block_height,
        publicKey: request.public_key,
        nodeId: request.node_id,
        nodeCount: request.node_count,
        model: JSON.stringify([request.params, request.r_target]),
        seqLen: request.params.seq_len,
        kDim: 0,
        strongerRng: false,
      },
      request.batch_size,
      parts.limits,
    )

  const generate = async (r: Round, session: PocV1Model, engine: string, group: number, signal: AbortSignal) => {
    const { batch_size: batchSize, public_key: publicKey, r_target: rTarget } = r.request
    const stage = stageOf(r.request)
    r.stageId = stage.id
    await outbox.setGenerating(stage, true)
    await generateStage(
      {
        ...{ stage, nGroups: engines.length, groupId: group, batchSize, outbox, log, name: engine },
        async compute(nonces, until) {
          const kept: StoredArtifact[] = []
          const search = { publicKey, nonces: BigInt64Array.from(nonces, BigInt), rTarget }
          const keep = (found: BigInt64Array, distances: Float64Array) => {
            const below = belowTarget(found, distances, rTarget)
            below.dist.forEach((d, i) => {
              kept.push({ nonce: Number(below.nonces[i]), payload: distanceBytes(d) })
            })
          }
          await session.run(search, keep, until)
          return kept
        },
        onComputed: (nonces) => parts.onComputed(engine, 'generate', nonces),
        onFailures(failures) {
          if (failures > 0) parts.onFailure(engine)
          if (failures >= errorAfter) r.failing.add(engine)
          else r.failing.delete(engine)
        },
      },
      signal,
    )
  }

  const validateAll = async (r: Round, signal: AbortSignal) => {
    const session = r.sessions[0]
    for (let batch = r.queue[0]; batch !== undefined && session !== undefined && !signal.aborted; batch = r.queue[0]) {
      try {
        await validateBatch(session, batch, r.request, verdicts, signal)
        parts.onComputed('v1', 'validate', batch.nonces.length)
      } catch (error) {
        if (signal.aborted) return
        log.error(
          { error: messageOf(error), nonces: batch.nonces.length },
          'a batch could not be validated: no verdict',
        )
      }
      r.queue.shift()
      r.queuedNonces -= batch.nonces.length
    }
  }

  const kickValidation = (r: Round) => {
    // Without a model nothing leaves the queue.
    if (r.phase !== 'validate' || r.loading || r.validating !== undefined || r.sessions.length === 0) return
    r.validating = validateAll(r, r.phaseAbort.signal).finally(() => {
      r.validating = undefined
      if (r.queue.length > 0 && !r.phaseAbort.signal.aborted) kickValidation(r)
    })
  }

  const begin = (r: Round) => {
    r.phaseAbort = new AbortController()
    const signal = AbortSignal.any([r.abort.signal, r.phaseAbort.signal])
    if (r.phase === 'generate') {
      r.tasks = r.sessions.map((session, i) => generate(r, session, engines[i]?.name ?? '', i, signal))
    }
    if (r.phase === 'validate') kickValidation(r)
  }

  /** Returns the stage that was generated. */
  const endPhase = async (r: Round): Promise<StageRecord | undefined> => {
    r.phaseAbort.abort()
    await Promise.allSettled([...r.tasks, r.validating])
    r.tasks = []
    const stage = r.stageId === undefined ? undefined : outbox.stage(r.stageId)
    r.stageId = undefined
    if (stage !== undefined) await outbox.setGenerating(stage, false)
    return stage
  }

  const load = async (r: Round) => {
    const opening = await Promise.allSettled(
      engines.map((engine) => engine.open(r.request.params, r.request.block_hash, r.abort.signal)),
    )
    const opened = opening.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const failure = opening.find((one) => one.status === 'rejected')
    try {
      if (failure !== undefined || r.abort.signal.aborted) {
        // Those that did open would keep their memory.
        await Promise.allSettled(opened.map((session) => session.close()))
        throw failure === undefined ? r.abort.signal.reason : failure.reason
      }
      r.sessions = opened
      r.loading = false
      begin(r)
    } catch (error) {
      r.loading = false
      if (r.abort.signal.aborted || isGonkaError(error, 'ERR_GK_CANCELLED')) return
      r.error = messageOf(error)
      log.error({ error: r.error }, 'the PoC v1 model cannot be loaded')
    }
  }

  const checkPartition = (request: InitV1) => {
    if (request.node_id < 0 || request.node_count < 1 || request.node_id >= request.node_count) {
      throw new HttpError(
        400,
        `node_id ${request.node_id} and node_count ${request.node_count} name no share of the nonces`,
      )
    }
  }

  /** Runs a command in its turn, then waits for the artifacts of the stage whose generation it ended: outside of the turn,
   *  since a network node that takes nothing must not hold up commands. */
  const command = async <T>(work: (end: (r: Round) => Promise<void>) => Promise<T>): Promise<T> => {
    let ended: StageRecord | undefined
    const answer = await exclusive(() =>
      work(async (r) => {
        ended = await endPhase(r)
      }),
    )
    if (ended !== undefined && outbox.waiting(ended) > 0) await outbox.flush(ended, parts.stopFlushMs)
    return answer
  }

  const stop = () =>
    command(async (end) => {
      const r = round
      if (r === undefined) return
      r.abort.abort()
      await end(r)
      await Promise.allSettled(r.sessions.map((session) => session.close()))
      round = undefined
      stopped = true
      parts.claim(false)
    })

  return {
    init: (request, phase) =>
      command(async (end) => {
        if (phase === 'generate') checkPartition(request)
        checkCallback(rule, request.url)
        if (round !== undefined) {
          const same = JSON.stringify(round.request) === JSON.stringify(request) && round.error === null
          if (!same) throw new HttpError(409, 'PoW is already running; stop it first')
          if (phase !== undefined && round.phase !== phase) {
            await end(round)
            round.phase = phase
            if (!round.loading) begin(round)
          }
          return ok()
        }
        parts.claim(true)
        const r: Round = {
          request,
          abort: new AbortController(),
          phase,
          phaseAbort: new AbortController(),
          loading: true,
          sessions: [],
          error: null,
          failing: new Set(),
          stageId: undefined,
          tasks: [],
          queue: [],
          queuedNonces: 0,
          validating: undefined,
        }
        round = r
        stopped = false
        void load(r)
        log.info({ height: request.block_height, url: loggedUrl(request.url ?? null), phase }, 'PoC v1 model loads')
        return ok()
      }),
    setPhase: (phase) =>
      command(async (end) => {
        const r = round
        if (r === undefined) throw new HttpError(400, 'PoW is not running; call init first')
        if (phase === 'generate') checkPartition(r.request)
        if (r.phase !== phase) {
          await end(r)
          r.phase = phase
          if (!r.loading) begin(r)
        }
        return ok()
      }),
    async validate(batch) {
      const r = round
      if (r === undefined) throw new HttpError(400, 'PoW is not running; call init first')
      if (batch.block_hash !== r.request.block_hash || batch.block_height !== r.request.block_height) {
        throw new HttpError(400, 'the batch belongs to another block than the loaded model')
      }
      if (r.error !== null) throw new HttpError(503, `the model could not be loaded: ${r.error}`)
      if (batch.dist.some((d) => !(d < r.request.r_target)))
        throw new HttpError(400, 'dist holds a value not below r_target')
      if (r.queuedNonces + batch.nonces.length > parts.maxQueuedNonces) {
        throw new HttpError(429, `queue is full: ${r.queuedNonces} nonces wait, at most ${parts.maxQueuedNonces} may`)
      }
      r.queue.push(batch)
      r.queuedNonces += batch.nonces.length
      kickValidation(r)
      return ok()
    },
    status,
    stop,
    healthy: () => round !== undefined && round.error === null && round.failing.size === 0,
    get running() {
      return round !== undefined
    },
    async close() {
      const r = round
      r?.abort.abort()
      r?.phaseAbort.abort()
      await exclusive.settled()
      if (r !== undefined) {
        await Promise.allSettled([...r.tasks, r.validating])
        await Promise.allSettled(r.sessions.map((session) => session.close()))
      }
      await Promise.allSettled(engines.map((engine) => engine.close()))
    },
  }
}
