// PoC v2 of one ML node: fans requests out to its replicas as the reference does, and answers for all of them.

import { messageOf } from '../errors.ts'
import { type Generate, type InitGenerate, wantsDecode } from '../protocol/wire-v2.ts'
import type { AddressRule } from './address-rule.ts'
import { checkCallback } from './callback-url.ts'
import { createExclusive } from './exclusive.ts'
import { HttpError } from './http-error.ts'
import type { Log } from './log.ts'
import { loggedUrl } from './log.ts'
import type { Outbox } from './outbox/outbox.ts'
import type { StageLimits } from './outbox/settings.ts'
import type { StageKey, StageRecord } from './outbox/stages.ts'
import type { Replica } from './replica.ts'
import { checkGenerate, type JobResult, jobOf } from './validation-queue.ts'

export type NodePocStatus = 'GENERATING' | 'IDLE' | 'MIXED' | 'NO_BACKENDS'

export interface PocV2Settings {
  readonly limits: StageLimits
  /** How long a stop waits for unsent artifacts before it answers; they stay in the outbox. */
  readonly stopFlushMs: number
}

export interface PocV2 {
  initGenerate(request: InitGenerate): Promise<Record<string, unknown>>
  generate(request: Generate, signal: AbortSignal): Promise<JobResult>
  result(requestId: string): JobResult
  stop(): Promise<Record<string, unknown>>
  status(): Record<string, unknown>
  nodeStatus(): NodePocStatus
  /** What GET /state reports: also VALIDATING. */
  stateStatus(): NodePocStatus | 'VALIDATING'
  /** The replica-level form of the same routes, for a server that stands for one replica. */
  replica: {
    initGenerate(request: InitGenerate): Promise<Record<string, unknown>>
    stop(): Promise<Record<string, unknown>>
    status(): Record<string, unknown>
  }
  /** Goes on with stages that an earlier process was generating. */
  resume(): Promise<number>
  close(): Promise<void>
}

export interface PocV2Parts {
  readonly replicas: readonly Replica[]
  /** False while no model is up: then there are no backends. */
  readonly available: () => boolean
  readonly outbox: Outbox
  readonly rule: AddressRule
  readonly log: Log
  /** Generation is about to take the devices. */
  readonly onGenerating?: () => void
}

const noBackends = () => new HttpError(503, 'No vLLM backends available')

export function createPocV2(parts: PocV2Parts, settings: PocV2Settings): PocV2 {
  const { outbox, rule, log } = parts
  let turn = 0
  // init, stop and resume change who generates; they never overlap.
  const exclusive = createExclusive()

  const backends = () => (parts.available() ? parts.replicas : [])

  const checkScheme = (request: Parameters<typeof wantsDecode>[0]) => {
    if (wantsDecode(request)) {
      throw new HttpError(409, {
        error: 'PoC params do not match the deployed engine',
        requested: { scheme: 'decode' },
        deployed: { scheme: 'prefill' },
      })
    }
  }

  const stageKey = (request: InitGenerate): StageKey => ({
    ...jobOf(request),
    kind: 'v2',
    url: request.url ?? null,
    blockHeight: request.block_height,
    nodeId: request.node_id,
    nodeCount: request.node_count,
  })

  const openStage = (request: InitGenerate): StageRecord =>
    outbox.openStage(stageKey(request), request.batch_size, settings.limits)

  const start = async (
    request: InitGenerate,
    targets: readonly Replica[],
    share: (index: number) => { groupId: number; nGroups: number },
  ) => {
    const stage = openStage(request)
    await outbox.setGenerating(stage, true)
    parts.onGenerating?.()
    targets.forEach((replica, i) => {
      const { groupId, nGroups } = share(i)
      replica.start(stage, nGroups, groupId)
    })
    log.info(
      {
        stage: stage.id,
        height: stage.blockHeight,
        model: stage.model,
        url: loggedUrl(stage.url),
        groups: targets.length,
      },
      'generating',
    )
  }

  const stopEngines = async (): Promise<readonly StageRecord[]> => {
    const all = parts.replicas
    await Promise.all(all.map((replica) => replica.stop()))
    await Promise.all(all.map((replica) => replica.queue.clear()))
    const generating = outbox.stages().filter((stage) => stage.generating && stage.kind === 'v2')
    await Promise.all(generating.map((stage) => outbox.setGenerating(stage, false)))
    return generating
  }

  /** Unsent artifacts are waited for outside of the turn: a network node that takes none must not hold up commands. */
  const stopAll = async (): Promise<void> => {
    const stopped = await exclusive(stopEngines)
    const unsent = stopped.filter((stage) => outbox.waiting(stage) > 0)
    await Promise.all(unsent.map((stage) => outbox.flush(stage, settings.stopFlushMs)))
  }

  const statusOf = (replicas: readonly Replica[]): NodePocStatus => {
    const states = new Set(replicas.map((replica) => replica.status()))
    if (states.size === 0) return 'NO_BACKENDS'
    if (states.size > 1) return 'MIXED'
    return states.has('GENERATING') ? 'GENERATING' : states.has('IDLE') ? 'IDLE' : 'MIXED'
  }

  const refusalOf = (replica: Replica, request: Parameters<typeof jobOf>[0]) => replica.engine.refuse(jobOf(request))

  return {
    initGenerate: (request) =>
      exclusive(async () => {
        const replicas = backends()
        if (replicas.length === 0) throw noBackends()
        checkCallback(rule, request.url)
        checkScheme(request)
        const results: Record<string, unknown>[] = []
        const errors: Record<string, unknown>[] = []
        const ready: Replica[] = []
        if (replicas.every((replica) => replica.status() !== 'IDLE')) throw new HttpError(409, 'Already generating')
        const checks = await Promise.allSettled(replicas.map((replica) => replica.engine.check()))
        replicas.forEach((replica, i) => {
          const { port } = replica
          const check = checks[i]
          const refusal = refusalOf(replica, request)
          if (replica.status() !== 'IDLE') errors.push({ port, error: 'Already generating' })
          else if (refusal !== undefined) errors.push({ port, ...refusal })
          else if (check?.status === 'rejected') errors.push({ port, error: messageOf(check.reason) })
          else ready.push(replica)
        })
        const refusal = replicas.map((replica) => refusalOf(replica, request)).find((r) => r !== undefined)
        if (ready.length === 0) {
          if (refusal !== undefined && replicas.every((replica) => refusalOf(replica, request) !== undefined)) {
            throw new HttpError(409, refusal)
          }
          throw new HttpError(502, { errors })
        }
        await start(request, ready, (groupId) => ({ groupId, nGroups: ready.length }))
        for (const { port } of ready) results.push({ port, status: 'OK' })
        return {
          status: 'OK',
          backends: results.length,
          n_groups: ready.length,
          results,
          errors: errors.length > 0 ? errors : null,
        }
      }),

    async generate(request, signal) {
      const replicas = backends()
      if (replicas.length === 0) throw noBackends()
      checkCallback(rule, request.url)
      checkScheme(request)
      checkGenerate(request)
      const replica = replicas[turn++ % replicas.length] as Replica
      const refusal = refusalOf(replica, request)
      if (refusal !== undefined) throw new HttpError(409, refusal)
      if (request.wait) {
        const id = `${replica.port}:${crypto.randomUUID()}`
        return { status: 'completed', request_id: id, ...(await replica.queue.runInline(request, signal)) }
      }
      const id = replica.queue.enqueue(request)
      return { status: 'queued', request_id: id, queued_count: request.nonces.length }
    },

    result(requestId) {
      const match = /^(\d{1,5}):([0-9a-f-]{1,64})$/i.exec(requestId)
      if (match === null) throw new HttpError(400, 'Invalid request_id: expected {port}:{uuid}')
      const replica = backends().find((r) => r.port === Number(match[1]))
      const result = replica?.queue.result(requestId)
      if (result === undefined) throw new HttpError(404, 'Request not found')
      return result
    },

    async stop() {
      await stopAll()
      const replicas = backends()
      if (replicas.length === 0) return { status: 'OK', message: 'No vLLM backends available' }
      return {
        status: 'OK',
        results: replicas.map((replica) => ({ port: replica.port, status: 'stopped' })),
        errors: null,
      }
    },

    status() {
      const replicas = backends()
      return { status: statusOf(replicas), backends: replicas.map((replica) => replica.report()) }
    },
    nodeStatus: () => statusOf(backends()),
    stateStatus() {
      const status = statusOf(backends())
      return status === 'IDLE' && backends().some((replica) => replica.queue.running) ? 'VALIDATING' : status
    },

    replica: {
      initGenerate: (request) =>
        exclusive(async () => {
          const replicas = backends()
          if (replicas.length === 0) throw new HttpError(503, 'Engine is not ready')
          checkCallback(rule, request.url)
          checkScheme(request)
          if (replicas.some((replica) => replica.status() !== 'IDLE')) throw new HttpError(409, 'Already generating')
          for (const replica of replicas) {
            const refusal = refusalOf(replica, request)
            if (refusal !== undefined) throw new HttpError(409, refusal)
          }
          // This server is one group of its caller's partition; its own devices split that group once more:
          // group + x * n_groups with x = device + y * devices.
          await start(request, replicas, (i) => ({
            groupId: request.group_id + i * request.n_groups,
            nGroups: request.n_groups * replicas.length,
          }))
          return { status: 'OK', pow_status: { status: 'GENERATING' } }
        }),
      async stop() {
        await stopAll()
        return { status: 'OK', pow_status: { status: 'STOPPED' } }
      },
      status() {
        const first = backends()[0]
        if (first === undefined) return { status: 'NOT_READY', config: null, stats: null }
        const { status, config, stats } = first.report()
        return { status, config, stats }
      },
    },

    resume: () =>
      exclusive(async () => {
        const stage = outbox
          .stages()
          .filter((s) => s.kind === 'v2' && s.generating && !outbox.isOver(s))
          .sort((a, b) => b.blockHeight - a.blockHeight)[0]
        const replicas = backends().filter(
          (replica) => stage !== undefined && replica.engine.refuse(stage) === undefined,
        )
        if (stage === undefined || replicas.length === 0) return 0
        replicas.forEach((replica, groupId) => {
          replica.start(stage, replicas.length, groupId)
        })
        log.info({ stage: stage.id, height: stage.blockHeight, generated: stage.generated }, 'generation resumed')
        return replicas.length
      }),

    async close() {
      await exclusive.settled()
      await Promise.all(parts.replicas.map((replica) => replica.stop()))
      await Promise.all(parts.replicas.map((replica) => replica.queue.close()))
      await Promise.all(parts.replicas.map((replica) => replica.engine.close()))
    },
  }
}
