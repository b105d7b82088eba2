// Which engines compute, by settings, and what bringing a model up means for them.

import { basename } from 'node:path'
import { GonkaError } from '../errors.ts'
import type { NativeApi } from '../native-api.ts'
import { addressRule } from './address-rule.ts'
import { embeddingEngine, embeddingModel } from './embedding-engine.ts'
import type { PocV2Engine } from './engine.ts'
import { type HttpClient, httpClient } from './http-client.ts'
import type { Log } from './log.ts'
import { nativeV1Engine } from './native-v1-engine.ts'
import { nativeV2Engine } from './native-v2-engine.ts'
import type { PocV1Engine } from './poc-v1.ts'
import { isFiniteVector } from './replica.ts'
import type { InferenceBackend } from './service.ts'
import type { Settings } from './settings.ts'
import { upstreamEngine } from './upstream-engine.ts'
import { createUpstreams, type Upstreams } from './upstreams.ts'

export interface Engines {
  readonly v2: readonly PocV2Engine[]
  readonly v1: readonly PocV1Engine[]
  readonly backend: InferenceBackend
  /** The servers behind, where there are any. */
  readonly upstreams: Upstreams | undefined
  close(): void
}

export interface EngineParts {
  readonly log: Log
  readonly native: () => Promise<NativeApi>
  /** Replaces the engines the settings ask for. */
  readonly engines?: readonly PocV2Engine[]
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

/** `http` is used for upstreams unless they need a client of their own; `served` names the model that is up. */
export function buildEngines(
  settings: Settings,
  parts: EngineParts,
  http: HttpClient,
  served: () => string | undefined,
): Engines {
  const client = upstreamClient(settings, http)
  const urls = settings['engine.upstream'].map((url) => url.replace(/\/+$/, ''))
  const upstreams = urls.length > 0 ? createUpstreams(urls, client, parts.log) : undefined
  const close = () => {
    if (client !== http) client.close()
  }
  const own = (v2: readonly PocV2Engine[], v1: readonly PocV1Engine[] = []): Engines => {
    return { v2, v1, backend: ownBackend(v2), upstreams, close }
  }
  if (parts.engines !== undefined) return own(parts.engines)
  const asked = settings['engine.kind']
  const kind = asked === 'auto' ? (upstreams === undefined ? 'v1' : 'upstream') : asked
  const { 'engine.models': models, 'engine.model_dir': directory } = settings
  if (kind === 'upstream' && upstreams !== undefined) {
    const v2 = urls.map((url) => upstreamEngine(url, client, served))
    return { v2, v1: [], backend: upstreamBackend(upstreams), upstreams, close }
  }
  if (kind === 'embedding') {
    const options = {
      models: models.length > 0 ? models : [embeddingModel],
      dim: settings['engine.embedding_dim'],
      rateLimit: settings['engine.rate_limit'],
    }
    return own(Array.from({ length: settings['engine.groups'] }, () => embeddingEngine(options)))
  }
  const devices = settings['engine.devices'].length > 0 ? settings['engine.devices'] : ['cpu:0']
  if (kind === 'v1') {
    const v1 = devices.map((device) => nativeV1Engine(parts.native, device, parts.log))
    return own([], v1)
  }
  if (directory === '') {
    close()
    throw new GonkaError('ERR_GK_INVALID_ARGUMENT', 'engine.kind is v2, so engine.model_dir must name a directory')
  }
  const names = models.length > 0 ? models : [basename(directory)]
  return own(
    devices.map((device) => nativeV2Engine(parts.native, { device, directory, models: names, log: parts.log })),
  )
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
