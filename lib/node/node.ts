// Puts a node together from its settings: store, outbox, engines, services, servers. Starting is listening; closing leaves
// everything unsent on disk.

import { mkdirSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { GonkaError, messageOf } from '../errors.ts'
import type { NativeApi } from '../native-api.ts'
import { packageVersion } from '../package-info.ts'
import { addressRule } from './address-rule.ts'
import { createAuthorisation } from './authorisation.ts'
import type { NodeContext } from './context.ts'
import { dashboardRoutes } from './dashboard-routes.ts'
import { embeddingEngine, embeddingModel } from './embedding-engine.ts'
import type { PocV2Engine } from './engine.ts'
import { gpuReader } from './gpu.ts'
import { type ClientTls, type HttpClient, httpClient } from './http-client.ts'
import { HttpError } from './http-error.ts'
import type { Log } from './log.ts'
import { createMetrics, dropLabel } from './metrics.ts'
import { modelCachePath } from './model-cache.ts'
import { nativeV1Engine } from './native-v1-engine.ts'
import { nativeV2Engine } from './native-v2-engine.ts'
import { openOutbox } from './outbox.ts'
import { createOverview } from './overview.ts'
import { createPocV1, type PocV1Engine } from './poc-v1.ts'
import { createPocV2 } from './poc-v2.ts'
import { createReplica, isFiniteVector, type Replica } from './replica.ts'
import { inferenceRoutes } from './routes/inference.ts'
import { modelRoutes } from './routes/models.ts'
import { pocV1Routes } from './routes/poc-v1.ts'
import { pocV2Routes, replicaRoutes } from './routes/poc-v2.ts'
import { inferencePortRoutes, proxyRoutes } from './routes/proxy.ts'
import { stateRoutes } from './routes/state.ts'
import { createServer, type Server, type ServerTls } from './server.ts'
import { createService, type InferenceBackend } from './service.ts'
import type { Settings } from './settings.ts'
import { type StageClock, systemClock } from './stage-clock.ts'
import { type Database, levelDatabase, openStore } from './store.ts'
import { createUpstreams, type Upstreams } from './upstreams.ts'
import { openValidationQueue } from './validation-queue.ts'
import { defaultVerdictSettings, openVerdicts } from './verdicts.ts'

export interface NodeParts {
  readonly log: Log
  readonly env: Readonly<Record<string, string | undefined>>
  readonly native: () => Promise<NativeApi>
  /** Replaced by tests that break disks and clocks. */
  readonly database?: Database
  readonly clock?: StageClock
  /** Replaces the engines the settings ask for. */
  readonly engines?: readonly PocV2Engine[]
}

export interface RunningNode {
  /** Where the servers listen. */
  readonly url: string
  readonly inferenceUrl: string | undefined
  readonly context: NodeContext
  /** The management server, for requests without a socket. */
  readonly management: Server
  /** Applies settings that may change while running. */
  reconfigure(settings: Settings): void
  close(): Promise<void>
}

const firstReplicaPort = 5001

function pem(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new GonkaError('ERR_GK_FILE', `cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

function clientTls(settings: Settings): ClientTls {
  const { 'callbacks.tls_cert': cert, 'callbacks.tls_key': key, 'callbacks.tls_ca': ca } = settings
  return {
    ...(cert === '' ? {} : { cert: pem(cert) }),
    ...(key === '' ? {} : { key: pem(key) }),
    ...(ca === '' ? {} : { ca: pem(ca) }),
  }
}

function serverTls(settings: Settings): ServerTls | undefined {
  if (settings['listen.tls_cert'] === '') return undefined
  const ca = settings['listen.tls_client_ca']
  return {
    cert: pem(settings['listen.tls_cert']),
    key: pem(settings['listen.tls_key']),
    ...(ca === '' ? {} : { ca: pem(ca) }),
  }
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || /^127\./.test(host)

interface Engines {
  readonly v2: readonly PocV2Engine[]
  readonly v1: readonly PocV1Engine[]
  readonly backend: InferenceBackend
}

function upstreamBackend(upstreams: Upstreams): InferenceBackend {
  return {
    async start(model) {
      const served = await upstreams.servedModel()
      if (served === undefined) throw new Error(`no upstream answers: ${upstreams.urls.join(', ')}`)
      if (served !== model) throw new Error(`the upstream serves ${served}, not ${model}`)
    },
    async stop() {},
    healthy: () => upstreams.healthy(),
  }
}

/** One nonce: loads what the engine loads late, so that a stage does not wait for it, and shows that it computes. */
async function warmUp(engine: PocV2Engine, model: string, signal: AbortSignal): Promise<void> {
  const job = { blockHash: '', publicKey: '', model, seqLen: 8, kDim: 12, strongerRng: false }
  for await (const { artifacts } of engine.generate(job, [0], 1, signal)) {
    const first = artifacts[0]
    if (first === undefined || !isFiniteVector(first.vector)) {
      throw new Error(`${engine.name} computes no usable artifact of ${model}`)
    }
  }
}

function ownBackend(engines: readonly PocV2Engine[]): InferenceBackend {
  return {
    async start(model, signal) {
      const models = engines.flatMap((engine) => engine.models ?? [])
      if (engines.length === 0) throw new Error('this node computes PoC v1 only; it serves no model')
      if (!models.includes(model)) throw new Error(`this node serves ${models.join(', ')}, not ${model}`)
      await Promise.all(engines.map((engine) => engine.check()))
      await Promise.all(engines.map((engine) => warmUp(engine, model, signal)))
    },
    async stop() {},
    async healthy() {
      return Promise.all(engines.map((engine) => engine.check())).then(
        () => true,
        () => false,
      )
    },
  }
}

function buildEngines(
  settings: Settings,
  parts: NodeParts,
  upstreams: Upstreams | undefined,
  upstreamEngines: () => readonly PocV2Engine[],
): Engines {
  if (parts.engines !== undefined) return { v2: parts.engines, v1: [], backend: ownBackend(parts.engines) }
  const asked = settings['engine.kind']
  const kind = asked === 'auto' ? (upstreams === undefined ? 'v1' : 'upstream') : asked
  if (kind === 'upstream' && upstreams !== undefined) {
    return { v2: upstreamEngines(), v1: [], backend: upstreamBackend(upstreams) }
  }
  if (kind === 'embedding') {
    const models = settings['engine.models'].length > 0 ? settings['engine.models'] : [embeddingModel]
    const v2 = Array.from({ length: settings['engine.groups'] }, () =>
      embeddingEngine({ models, dim: settings['engine.embedding_dim'], rateLimit: settings['engine.rate_limit'] }),
    )
    return { v2, v1: [], backend: ownBackend(v2) }
  }
  const devices = settings['engine.devices'].length > 0 ? settings['engine.devices'] : ['cpu:0']
  if (kind === 'v2') {
    const directory = settings['engine.model_dir']
    if (directory === '') {
      throw new GonkaError('ERR_GK_INVALID_ARGUMENT', 'engine.kind is v2, so engine.model_dir must name a directory')
    }
    const models = settings['engine.models'].length > 0 ? settings['engine.models'] : [basename(directory)]
    const v2 = devices.map((device) => nativeV2Engine(parts.native, { device, directory, models, log: parts.log }))
    return { v2, v1: [], backend: ownBackend(v2) }
  }
  const v1 = devices.map((device) => nativeV1Engine(parts.native, device, parts.log))
  return { v2: [], v1, backend: ownBackend([]) }
}

async function listen(app: Server, host: string, port: number, secure: boolean): Promise<string> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
      cause: error,
    })
  }
  const address = app.server.address() as AddressInfo
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${secure ? 'https' : 'http'}://${shown}:${address.port}`
}

/** Opens everything and listens. Throws GonkaError with what to change if a part cannot start. */
export async function openNode(settings: Settings, parts: NodeParts): Promise<RunningNode> {
  const { log } = parts
  const opened: (() => Promise<unknown> | unknown)[] = []
  const closeAll = async () => {
    for (const close of opened.splice(0).reverse()) await close()
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

async function open(
  settings: Settings,
  parts: NodeParts,
  onClose: (close: () => Promise<unknown> | unknown) => void,
  closeAll: () => Promise<void>,
): Promise<RunningNode> {
  const { log } = parts
  const clock = parts.clock ?? systemClock()
  const rule = addressRule(settings['callbacks.allow'])
  const http = httpClient(rule, clientTls(settings))
  onClose(() => http.close())
  const tls = serverTls(settings)

  const folder = join(settings['data.dir'], 'store')
  if (parts.database === undefined) mkdirSync(folder, { recursive: true, mode: 0o700 })
  let degraded: ((on: boolean) => void) | undefined
  const store = await openStore(parts.database ?? levelDatabase(folder, settings['data.sync']), {
    onHealth(health) {
      degraded?.(health.degraded)
      if (health.degraded) log.error({ error: health.error }, 'the disk refuses writes; artifacts are kept in memory')
      else log.info({}, 'the disk takes writes again')
    },
  })
  onClose(() => store.close())

  const replicas: Replica[] = []
  const metrics = createMetrics({
    waiting: () => outbox.waiting(),
    queuedNonces: () => replicas.reduce((sum, replica) => sum + replica.queue.waitingNonces, 0),
    verdictsWaiting: () => verdicts.waiting,
    generating: () => replicas.filter((replica) => replica.status() !== 'IDLE').length,
    joules: () => energy.joules(),
  })
  onClose(() => metrics.close())
  degraded = (on) => metrics.storeDegraded.set(on ? 1 : 0)

  const verdicts = await openVerdicts(
    { store, http, clock, log, onOutcome: (outcome) => metrics.verdicts.inc({ outcome }) },
    { ...defaultVerdictSettings, timeoutMs: settings['callbacks.timeout_ms'] },
  )
  onClose(() => verdicts.close())
  const outboxSettings = (from: Settings) => ({
    intervalMs: from['callbacks.interval_ms'],
    maxBatch: from['callbacks.max_batch'],
    timeoutMs: from['callbacks.timeout_ms'],
    backoffMs: from['callbacks.backoff_ms'],
    maxBackoffMs: from['callbacks.max_backoff_ms'],
  })
  const outbox = await openOutbox(
    {
      store,
      http,
      clock,
      log,
      events: {
        generated: (kind, count) => metrics.generated.inc({ kind }, count),
        acknowledged: (kind, count) => metrics.acknowledged.inc({ kind }, count),
        dropped: (kind, count, reason) => metrics.dropped.inc({ kind, reason: dropLabel(reason) }, count),
        delivery(outcome, seconds) {
          metrics.deliveries.inc({ outcome })
          if (seconds > 0) metrics.deliverySeconds.observe(seconds)
        },
        redelivered: (count) => metrics.redelivered.inc(count),
      },
    },
    outboxSettings(settings),
  )
  onClose(() => outbox.close())

  const upstreamHttp = upstreamClient(settings, http)
  if (upstreamHttp !== http) onClose(() => upstreamHttp.close())
  const urls = settings['engine.upstream'].map((url) => url.replace(/\/+$/, ''))
  const upstreams = urls.length > 0 ? createUpstreams(urls, upstreamHttp, log) : undefined
  const { upstreamEngine } = await import('./upstream-engine.ts')
  const engines = buildEngines(settings, parts, upstreams, () =>
    urls.map((url) => upstreamEngine(url, upstreamHttp, () => service.model ?? undefined)),
  )

  const service = createService({
    backend: engines.backend,
    store,
    log,
    beforeDown: async () => {
      await poc.stop()
    },
  })
  for (const [index, engine] of engines.v2.entries()) {
    const count = (purpose: 'generate' | 'validate') => (nonces: number, seconds: number) => {
      metrics.computed.inc({ engine: engine.name, purpose }, nonces)
      metrics.computeSeconds.observe({ engine: engine.name }, seconds)
    }
    const port = firstReplicaPort + index
    const bare = createReplica({
      engine,
      port,
      outbox,
      log,
      onComputed: count('generate'),
      onFailure: () => metrics.failures.inc({ engine: engine.name }),
    })
    const queue = await openValidationQueue({
      engine,
      index,
      untilFree: bare.untilFree,
      verdicts,
      store,
      log,
      idPrefix: `${port}:`,
      maxQueuedNonces: settings['poc.max_queued_nonces'],
      onComputed: count('validate'),
    })
    replicas.push({ ...bare, queue })
  }
  const deadlineMs = settings['poc.stage_deadline_s'] * 1000
  const generationS = settings['poc.generation_limit_s']
  const limits = { deadlineMs, generationMs: generationS === 0 ? deadlineMs : generationS * 1000 }
  const poc = createPocV2(
    {
      replicas,
      available: () => service.state() === 'INFERENCE',
      outbox,
      rule,
      log,
      onGenerating: () => upstreams?.abortAll(),
    },
    { limits, stopFlushMs: settings['poc.stop_flush_ms'] },
  )
  onClose(() => poc.close())
  const pocV1 =
    engines.v1.length === 0
      ? undefined
      : createPocV1({
          engines: engines.v1,
          outbox,
          verdicts,
          rule,
          log,
          claim(running) {
            if (running) service.checkConflict('POW')
            service.setPow(running)
          },
          limits,
          stopFlushMs: settings['poc.stop_flush_ms'],
          maxQueuedNonces: settings['poc.max_queued_nonces'],
          onComputed: (engine, purpose, nonces) => metrics.computed.inc({ engine, purpose }, nonces),
        })
  if (pocV1 !== undefined) onClose(() => pocV1.close())

  const gpu = gpuReader()
  const { createEnergy } = await import('./energy.ts')
  const energy = createEnergy(gpu)
  onClose(() => energy.close())
  const host = settings['listen.host']
  const token = settings['listen.token']
  const authorisation = createAuthorisation(token === '' ? undefined : token, isLoopback(host))
  const partial = {
    service,
    poc,
    pocV1,
    outbox,
    store,
    metrics,
    upstreams,
    gpu,
    modelCache: settings['data.model_cache'] || modelCachePath(parts.env),
    log,
    authorisation,
    version: packageVersion(),
    engineNames: [...engines.v2, ...engines.v1].map((engine) => engine.name),
    validationBesideInference: settings['engine.validation_beside_inference'],
    metricsEnabled: settings['metrics.enabled'] && parts.env.GONKA_METRICS !== 'off',
  }
  const context: NodeContext = { ...partial, overview: createOverview(partial, replicas, energy) }

  const management = createServer(context, tls)
  stateRoutes(management, context)
  inferenceRoutes(management, context)
  pocV2Routes(management, context)
  pocV1Routes(management, context)
  modelRoutes(management, context)
  proxyRoutes(management, context)
  dashboardRoutes(management, context)
  const url = await listen(management, host, settings['listen.port'], tls !== undefined)
  onClose(() => management.close())

  let inferenceUrl: string | undefined
  if (settings['listen.inference']) {
    const inference = createServer(context, tls)
    replicaRoutes(inference, context)
    inferencePortRoutes(inference, context)
    inferenceUrl = await listen(inference, host, settings['listen.inference_port'], tls !== undefined)
    onClose(() => inference.close())
  }

  if (!isLoopback(host) && token === '' && settings['listen.tls_client_ca'] === '') {
    log.warn(
      { host },
      'THE API IS OPEN TO EVERYBODY WHO REACHES THIS ADDRESS: set listen.token or listen.tls_client_ca, or keep the port behind a firewall',
    )
  }
  await restore(settings, service, poc, log)
  log.info({ url, inferenceUrl, engines: context.engineNames, version: context.version }, 'node is ready')

  return {
    url,
    inferenceUrl,
    context,
    management,
    reconfigure(changed) {
      outbox.configure(outboxSettings(changed))
      authorisation.setToken(changed['listen.token'] === '' ? undefined : changed['listen.token'])
      if ('level' in log) (log as { level: string }).level = changed['log.level']
    },
    close: closeAll,
  }
}

/** Upstreams are named by the operator, not by a request: their own hosts are allowed beside the rule. */
function upstreamClient(settings: Settings, shared: HttpClient): HttpClient {
  if (settings['engine.upstream'].length === 0) return shared
  const hosts = settings['engine.upstream'].map((text) => {
    try {
      return new URL(text).hostname.replace(/^\[|\]$/g, '')
    } catch {
      throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `engine.upstream: ${JSON.stringify(text)} is no URL`)
    }
  })
  return httpClient(addressRule([...settings['callbacks.allow'], ...hosts]))
}

async function restore(
  settings: Settings,
  service: ReturnType<typeof createService>,
  poc: ReturnType<typeof createPocV2>,
  log: Log,
): Promise<void> {
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
