// Which service the node runs: nothing, inference (with PoC v2 beside it), or PoC v1. One at a time.

import { messageOf } from '../errors.ts'
import { HttpError } from './http-error.ts'
import type { Log } from './log.ts'
import type { Store } from './outbox/store.ts'

export type ServiceState = 'POW' | 'INFERENCE' | 'TRAIN' | 'STOPPED'

/** What inference/up brings up. */
export interface InferenceBackend {
  /** Resolves when the model is served; rejects with the reason. */
  start(model: string, signal: AbortSignal): Promise<void>
  stop(): Promise<void>
  healthy(): Promise<boolean>
}

export interface Service {
  state(): ServiceState
  readonly model: string | null
  /** HttpError 409 if another service runs, naming both modes. */
  checkConflict(wanted: 'INFERENCE' | 'POW'): void
  up(model: string): Promise<void>
  upAsync(model: string): void
  upStatus(): Record<string, unknown>
  down(): Promise<void>
  healthy(): Promise<boolean>
  /** PoC v1 took or gave back the node. */
  setPow(running: boolean): void
  /** Brings up what ran before the restart; false if nothing did. */
  restore(): Promise<boolean>
}

export interface ServiceParts {
  readonly backend: InferenceBackend
  readonly store: Store
  readonly log: Log
  /** Called before inference goes down. */
  readonly beforeDown: () => Promise<void>
}

type Startup = 'not_started' | 'in_progress' | 'completed' | 'cancelled' | 'failed'

export function createService(parts: ServiceParts): Service {
  const { backend, store, log } = parts
  let model: string | null = null
  let pow = false
  let startup: Startup = 'not_started'
  let startedAt = 0
  let tookSeconds = 0
  let startError: string | null = null
  let starting: { abort: AbortController; done: Promise<void> } | undefined

  const state = (): ServiceState => (pow ? 'POW' : model !== null ? 'INFERENCE' : 'STOPPED')

  const remember = () =>
    void store.write([['service', model === null ? null : new TextEncoder().encode(JSON.stringify({ model }))]])

  const checkConflict = (wanted: 'INFERENCE' | 'POW') => {
    const current = state()
    const other = starting !== undefined ? 'INFERENCE' : current
    if (other !== 'STOPPED' && other !== wanted) {
      throw new HttpError(409, `Cannot use ${wanted}: the node is in ${other} mode; stop ${other} first`)
    }
  }

  const begin = (wanted: string): Promise<void> => {
    checkConflict('INFERENCE')
    if (starting !== undefined) throw new HttpError(409, 'vLLM is already starting')
    if (model !== null) throw new HttpError(409, `vLLM is already running ${model}`)
    const abort = new AbortController()
    startup = 'in_progress'
    startError = null
    startedAt = performance.now()
    const done = backend
      .start(wanted, abort.signal)
      .then(() => {
        if (abort.signal.aborted) throw new Error('cancelled')
        model = wanted
        startup = 'completed'
        remember()
        log.info({ model }, 'inference is up')
      })
      .catch((error: unknown) => {
        startup = abort.signal.aborted ? 'cancelled' : 'failed'
        startError = messageOf(error)
        log.warn({ model: wanted, error: startError }, 'inference did not start')
        throw error
      })
      .finally(() => {
        tookSeconds = (performance.now() - startedAt) / 1000
        starting = undefined
      })
    starting = { abort, done }
    return done
  }

  const down = async () => {
    starting?.abort.abort()
    await starting?.done.catch(() => undefined)
    if (model === null) return
    await parts.beforeDown()
    await backend.stop()
    model = null
    startup = 'not_started'
    remember()
    log.info({}, 'inference is down')
  }

  return {
    state,
    get model() {
      return model
    },
    checkConflict,
    async up(wanted) {
      const done = begin(wanted)
      try {
        await done
      } catch (error) {
        throw new HttpError(500, `Failed to start: ${messageOf(error)}`)
      }
    },
    upAsync(wanted) {
      begin(wanted).catch(() => undefined)
    },
    upStatus() {
      const inProgress = startup === 'in_progress'
      const seconds = inProgress ? (performance.now() - startedAt) / 1000 : tookSeconds
      return {
        status: startup,
        is_starting: inProgress,
        is_running: model !== null,
        elapsed_seconds: startup === 'not_started' ? null : Math.round(seconds * 10) / 10,
        error: startError,
      }
    },
    down,
    healthy: () => (model === null ? Promise.resolve(false) : backend.healthy()),
    setPow(running) {
      pow = running
    },
    async restore() {
      const stored = await store.read('service')
      if (stored === undefined || model !== null) return false
      const { model: wanted } = JSON.parse(new TextDecoder().decode(stored)) as { model: string }
      await begin(wanted)
      return true
    },
  }
}
