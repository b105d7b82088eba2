// Puts a node together from its settings: store, outbox, engines, services, servers. Starting is listening; closing leaves
// everything unsent on disk.

import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import { makeFolder } from '../files.ts'
import { packageVersion } from '../package-info.ts'
import { type AddressRule, addressRule } from './address-rule.ts'
import { createAuthorisation } from './authorisation.ts'
import type { NodeContext } from './context.ts'
import { createEnergy } from './energy.ts'
import type { PocV2Engine } from './engine.ts'
import { buildEngines, type EngineParts, type Engines } from './engines.ts'
import { gpuReader } from './gpu.ts'
import { type HttpClient, httpClient } from './http-client.ts'
import { HttpError } from './http-error.ts'
import { isLoopback, openListeners } from './listeners.ts'
import type { Log } from './log.ts'
import { createMetrics, dropLabel, type NodeMetrics } from './metrics.ts'
import { modelCachePath } from './model-cache.ts'
import { createModelDownloads } from './model-download.ts'
import { type Outbox, openOutbox } from './outbox/outbox.ts'
import { type Database, levelDatabase, openStore, type Store } from './outbox/store.ts'
import { createOverview } from './overview.ts'
import { createPocV1, type PocV1 } from './poc-v1.ts'
import { createPocV2, type PocV2 } from './poc-v2.ts'
import { createReplica, type Replica } from './replica.ts'
import type { Server } from './server.ts'
import { createService, type Service } from './service.ts'
import type { Settings } from './settings.ts'
import { type StageClock, systemClock } from './stage-clock.ts'
import { clientTls, serverTls } from './tls.ts'
import { openValidationQueue } from './validation-queue.ts'
import { defaultVerdictSettings, openVerdicts, type VerdictSender } from './verdicts.ts'

export interface NodeParts extends EngineParts {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Replaced by tests that break disks and clocks. */
  readonly database?: Database
  readonly clock?: StageClock
}

export interface RunningNode {
  /** Where the servers listen. */
  readonly url: string
  readonly inferenceUrl: string | undefined
  readonly context: NodeContext
  /** The servers, for requests without a socket. */
  readonly management: Server
  readonly inference: Server | undefined
  /** Applies settings that may change while running. */
  reconfigure(settings: Settings): void
  close(): Promise<void>
}

const firstReplicaPort = 5001

type OnClose = (close: () => Promise<unknown> | unknown) => void

/** Opens everything and listens. Throws GonkaError with what to change if a part cannot start. */
export async function openNode(settings: Settings, parts: NodeParts): Promise<RunningNode> {
  const { log } = parts
  const opened: (() => Promise<unknown> | unknown)[] = []
  // One that fails keeps none of the others open: the store's lock among them.
  const closeAll = async () => {
    const failures: unknown[] = []
    for (const close of opened.splice(0).reverse()) {
      try {
        await close()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
  try {
    return await open(settings, parts, (close) => opened.push(close), closeAll)
  } catch (error) {
    await closeAll().catch((failure: unknown) =>
      log.error({ error: messageOf(failure) }, 'closing after a failed start'),
    )
    throw error
  }
}

/** What everything else stands on. */
interface Base {
  readonly log: Log
  readonly rule: AddressRule
  readonly http: HttpClient
  readonly store: Store
  readonly metrics: NodeMetrics
  readonly verdicts: VerdictSender
  readonly outbox: Outbox
}

async function open(
  settings: Settings,
  parts: NodeParts,
  onClose: OnClose,
  closeAll: () => Promise<void>,
): Promise<RunningNode> {
  const { log } = parts
  const tls = serverTls(settings)
  const inUse: Pick<PocV2Engine, 'telemetry'>[] = []
  const gpu = gpuReader(async () => {
    const now = await Promise.all(inUse.map((engine) => engine.telemetry?.()))
    return now.filter((telemetry) => telemetry !== undefined)
  })
  const energy = createEnergy(gpu)
  onClose(() => energy.close())
  const replicas: Replica[] = []
  const base = await openBase(settings, parts, onClose, {
    gpu,
    queuedNonces: () => replicas.reduce((sum, replica) => sum + replica.queue.waitingNonces, 0),
    generating: () => {
      const v1 = pocV1?.status().status === 'GENERATING' ? engines.v1.length : 0
      return replicas.filter((replica) => replica.status() !== 'IDLE').length + v1
    },
    joules: () => energy.joules(),
  })
  const { outbox, store, metrics } = base

  const engines = buildEngines(settings, parts, base.http, () => service.model ?? undefined)
  onClose(() => engines.close())
  inUse.push(...engines.v2, ...engines.v1)
  const service = createService({
    backend: engines.backend,
    store,
    log,
    beforeDown: async () => {
      await poc.stop()
    },
  })
  replicas.push(...(await openReplicas(settings, engines, base)))
  const poc = openPocV2(settings, engines, base, replicas, service)
  onClose(() => poc.close())
  const pocV1 = openPocV1(settings, engines, base, service)
  if (pocV1 !== undefined) onClose(() => pocV1.close())

  const host = settings['listen.host']
  const token = settings['listen.token']
  const authorisation = createAuthorisation(token === '' ? undefined : token, isLoopback(host))
  const modelCache = settings['data.model_cache'] || modelCachePath(parts.env)
  const downloads = createModelDownloads({ cache: modelCache, env: parts.env, log })
  onClose(() => downloads.close())
  const partial = {
    ...{ service, poc, pocV1, outbox, store, metrics, gpu, log, authorisation },
    upstreams: engines.upstreams,
    ...{ modelCache, downloads },
    version: packageVersion(),
    engineNames: [...engines.v2, ...engines.v1].map((engine) => engine.name),
    validationBesideInference: settings['engine.validation_beside_inference'],
    metricsEnabled: settings['metrics.enabled'] && parts.env.GONKA_METRICS !== 'off',
  }
  const context: NodeContext = { ...partial, overview: createOverview(partial, replicas, energy) }
  const { management, inference, url, inferenceUrl } = await openListeners(settings, context, tls, onClose)

  if (!isLoopback(host) && token === '' && settings['listen.tls_client_ca'] === '') {
    log.warn(
      { host },
      'THE API IS OPEN TO EVERYBODY WHO REACHES THIS ADDRESS: set listen.token or listen.tls_client_ca, or keep the port behind a firewall',
    )
  }
  await restore(settings, service, poc, log)
  log.info({ url, inferenceUrl, engines: context.engineNames, version: context.version }, 'node is ready')

  return {
    ...{ url, inferenceUrl, context, management, inference },
    reconfigure(changed) {
      outbox.configure(outboxSettings(changed))
      authorisation.setToken(changed['listen.token'] === '' ? undefined : changed['listen.token'])
      if ('level' in log) (log as { level: string }).level = changed['log.level']
    },
    close: closeAll,
  }
}

const outboxSettings = (from: Settings) => ({
  intervalMs: from['callbacks.interval_ms'],
  maxBatch: from['callbacks.max_batch'],
  timeoutMs: from['callbacks.timeout_ms'],
  backoffMs: from['callbacks.backoff_ms'],
  maxBackoffMs: from['callbacks.max_backoff_ms'],
})

async function openBase(
  settings: Settings,
  parts: NodeParts,
  onClose: OnClose,
  gauges: Pick<Parameters<typeof createMetrics>[0], 'gpu' | 'queuedNonces' | 'generating' | 'joules'>,
): Promise<Base> {
  const { log } = parts
  const clock = parts.clock ?? systemClock()
  const rule = addressRule(settings['callbacks.allow'])
  const http = httpClient(rule, clientTls(settings))
  onClose(() => http.close())

  const metrics = createMetrics({
    ...gauges,
    waiting: () => outbox.waiting(),
    verdictsWaiting: () => verdicts.waiting,
  })
  onClose(() => metrics.close())

  const folder = join(settings['data.dir'], 'store')
  if (parts.database === undefined) await makeFolder(folder, 0o700)
  const store = await openStore(parts.database ?? levelDatabase(folder, settings['data.sync']), {
    onHealth(health) {
      metrics.storeDegraded.set(health.degraded ? 1 : 0)
      if (health.degraded) log.error({ error: health.error }, 'the disk refuses writes; artifacts are kept in memory')
      else log.info({}, 'the disk takes writes again')
    },
  })
  onClose(() => store.close())

  const verdicts = await openVerdicts(
    { store, http, clock, log, onOutcome: (outcome) => metrics.verdicts.inc({ outcome }) },
    { ...defaultVerdictSettings, timeoutMs: settings['callbacks.timeout_ms'] },
  )
  onClose(() => verdicts.close())
  const events = {
    generated: (kind: string, count: number) => metrics.generated.inc({ kind }, count),
    acknowledged: (kind: string, count: number) => metrics.acknowledged.inc({ kind }, count),
    dropped: (kind: string, count: number, reason: string) =>
      metrics.dropped.inc({ kind, reason: dropLabel(reason) }, count),
    delivery(outcome: string, seconds: number) {
      metrics.deliveries.inc({ outcome })
      if (seconds > 0) metrics.deliverySeconds.observe(seconds)
    },
    redelivered: (count: number) => metrics.redelivered.inc(count),
  }
  const outbox = await openOutbox({ store, http, clock, log, events }, outboxSettings(settings))
  onClose(() => outbox.close())
  return { log, rule, http, store, metrics, verdicts, outbox }
}

function openReplicas(settings: Settings, engines: Engines, base: Base): Promise<Replica[]> {
  const { log, metrics, outbox, verdicts, store } = base
  return Promise.all(
    engines.v2.map(async (engine, index) => {
      const count = (purpose: 'generate' | 'validate') => (nonces: number, seconds: number) => {
        metrics.computed.inc({ engine: engine.name, purpose }, nonces)
        metrics.computeSeconds.observe({ engine: engine.name }, seconds)
      }
      const port = firstReplicaPort + index
      const onFailure = () => metrics.failures.inc({ engine: engine.name })
      const bare = createReplica({ engine, port, outbox, log, onComputed: count('generate'), onFailure })
      const queue = await openValidationQueue({
        ...{ engine, index, verdicts, store, log },
        untilFree: bare.untilFree,
        idPrefix: `${port}:`,
        maxQueuedNonces: settings['poc.max_queued_nonces'],
        onComputed: count('validate'),
      })
      return { ...bare, queue }
    }),
  )
}

function limitsOf(settings: Settings) {
  const deadlineMs = settings['poc.stage_deadline_s'] * 1000
  const generationS = settings['poc.generation_limit_s']
  return { deadlineMs, generationMs: generationS === 0 ? deadlineMs : generationS * 1000 }
}

function openPocV2(
  settings: Settings,
  engines: Engines,
  base: Base,
  replicas: readonly Replica[],
  service: Service,
): PocV2 {
  return createPocV2(
    {
      ...{ replicas, outbox: base.outbox, rule: base.rule, log: base.log },
      available: () => service.state() === 'INFERENCE',
      onGenerating: () => engines.upstreams?.abortAll(),
    },
    { limits: limitsOf(settings), stopFlushMs: settings['poc.stop_flush_ms'] },
  )
}

function openPocV1(settings: Settings, engines: Engines, base: Base, service: Service): PocV1 | undefined {
  if (engines.v1.length === 0) return undefined
  const { outbox, verdicts, rule, log, metrics } = base
  return createPocV1({
    ...{ engines: engines.v1, outbox, verdicts, rule, log },
    claim(running) {
      if (running) service.checkConflict('POW')
      service.setPow(running)
    },
    limits: limitsOf(settings),
    stopFlushMs: settings['poc.stop_flush_ms'],
    maxQueuedNonces: settings['poc.max_queued_nonces'],
    onComputed: (engine, purpose, nonces) => metrics.computed.inc({ engine, purpose }, nonces),
    onFailure: (engine) => metrics.failures.inc({ engine }),
  })
}

async function restore(settings: Settings, service: Service, poc: PocV2, log: Log): Promise<void> {
  try {
    const restored = await service.restore()
    if (!restored && settings['engine.autostart'] !== '') await service.up(settings['engine.autostart'])
    await poc.resume()
  } catch (error) {
    // The network node will ask for the model again; until then the node says that it has none.
    const why = error instanceof HttpError ? error.detail : messageOf(error)
    log.warn({ why }, 'the model that was up before could not be brought up again')
  }
}
