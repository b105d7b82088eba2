// What route handlers may touch.

import type { Authorisation } from './authorisation.ts'
import type { GpuReader } from './gpu.ts'
import type { Log } from './log.ts'
import type { NodeMetrics } from './metrics.ts'
import type { ModelDownloads } from './model-download.ts'
import type { Outbox } from './outbox/outbox.ts'
import type { Store } from './outbox/store.ts'
import type { PocV1 } from './poc-v1.ts'
import type { PocV2 } from './poc-v2.ts'
import type { Service } from './service.ts'
import type { Upstreams } from './upstreams.ts'

export interface NodeContext {
  readonly service: Service
  readonly poc: PocV2
  /** Undefined where the engine cannot run PoC v1. */
  readonly pocV1: PocV1 | undefined
  readonly outbox: Outbox
  readonly store: Store
  readonly metrics: NodeMetrics
  readonly upstreams: Upstreams | undefined
  readonly gpu: GpuReader
  readonly modelCache: string
  readonly downloads: ModelDownloads
  readonly log: Log
  readonly authorisation: Authorisation
  /** Package version. */
  readonly version: string
  /** Versions and names shown to people. */
  readonly engineNames: readonly string[]
  /** Validation may run while inference is served. */
  readonly validationBesideInference: boolean
  readonly metricsEnabled: boolean
  /** Snapshot for the dashboard. */
  readonly overview: () => Promise<Record<string, unknown>>
}
