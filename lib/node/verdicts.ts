// Delivery of validation verdicts: one POST each, stored first, retried until it can no longer count.

import { randomUUID } from 'node:crypto'
import { messageOf } from '../errors.ts'
import type { HttpClient } from './http-client.ts'
import { type Log, loggedUrl } from './log.ts'
import type { Store } from './outbox/store.ts'
import type { StageClock, StageInstant } from './stage-clock.ts'

export interface VerdictSender {
  /** Resolves when the verdict is stored (or kept in memory by a failing disk); delivery follows. */
  send(url: string, body: Readonly<Record<string, unknown>>): Promise<void>
  readonly waiting: number
  close(): Promise<void>
}

export interface VerdictSettings {
  readonly concurrency: number
  readonly timeoutMs: number
  readonly backoffMs: number
  readonly maxBackoffMs: number
  /** A verdict older than this is dropped. */
  readonly deadlineMs: number
}

export const defaultVerdictSettings: VerdictSettings = {
  concurrency: 10,
  timeoutMs: 10_000,
  backoffMs: 1000,
  maxBackoffMs: 30_000,
  deadlineMs: 1_800_000,
}

interface Verdict {
  readonly key: string
  readonly url: string
  readonly body: Readonly<Record<string, unknown>>
  readonly at: StageInstant
  failures: number
  notBefore: number
  busy: boolean
}

export interface VerdictParts {
  readonly store: Store
  readonly http: HttpClient
  readonly clock: StageClock
  readonly log: Log
  readonly onOutcome: (outcome: 'ok' | 'retry' | 'dropped') => void
}

export async function openVerdicts(
  parts: VerdictParts,
  settings: VerdictSettings = defaultVerdictSettings,
): Promise<VerdictSender> {
  const { store, http, clock, log, onOutcome } = parts
  const waiting = new Map<string, Verdict>()
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()
  let timer: NodeJS.Timeout | undefined

  for (const [key, bytes] of await store.list('verdict/')) {
    const stored = JSON.parse(new TextDecoder().decode(bytes)) as Pick<Verdict, 'url' | 'body' | 'at'>
    waiting.set(key, { ...stored, key, failures: 0, notBefore: 0, busy: false })
  }

  const forget = (verdict: Verdict) => {
    waiting.delete(verdict.key)
    void store.write([[verdict.key, null]])
  }

  const deliver = async (verdict: Verdict) => {
    const fields = { request_id: verdict.body.request_id, url: loggedUrl(verdict.url) }
    try {
      const answer = await http.send('POST', verdict.url, {
        json: verdict.body,
        timeoutMs: settings.timeoutMs,
        signal: stopping.signal,
        maxBody: 4096,
      })
      if (answer.status >= 200 && answer.status < 300) {
        onOutcome('ok')
        forget(verdict)
        return
      }
      if (answer.status === 400 || answer.status === 422) {
        onOutcome('dropped')
        log.error({ ...fields, status: answer.status, body: answer.body.slice(0, 120) }, 'verdict refused')
        forget(verdict)
        return
      }
      throw new Error(`status ${answer.status}`)
    } catch (error) {
      if (stopping.signal.aborted) return
      onOutcome('retry')
      verdict.failures++
      const delay = Math.min(settings.maxBackoffMs, settings.backoffMs * 2 ** Math.min(verdict.failures - 1, 20))
      verdict.notBefore = performance.now() + delay
      if (verdict.failures === 1)
        log.warn({ ...fields, why: messageOf(error) }, 'verdict not delivered, will be repeated')
    }
  }

  const pump = () => {
    clearTimeout(timer)
    if (stopping.signal.aborted) return
    const now = performance.now()
    let soonest = 5000
    for (const verdict of waiting.values()) {
      if (verdict.busy) continue
      if (clock.since(verdict.at) > settings.deadlineMs) {
        onOutcome('dropped')
        log.warn({ request_id: verdict.body.request_id }, 'verdict is too old to count and is dropped')
        forget(verdict)
        continue
      }
      if (verdict.notBefore > now) {
        soonest = Math.min(soonest, verdict.notBefore - now)
        continue
      }
      if (running.size >= settings.concurrency) break
      verdict.busy = true
      const task = deliver(verdict).finally(() => {
        verdict.busy = false
        running.delete(task)
        setImmediate(pump)
      })
      running.add(task)
    }
    timer = setTimeout(pump, Math.max(10, soonest))
    timer.unref()
  }

  pump()
  return {
    async send(url, body) {
      const at = clock.now()
      const key = `verdict/${randomUUID()}`
      const written = store.write([[key, new TextEncoder().encode(JSON.stringify({ url, body, at }))]])
      const slow = new Promise<void>((resolve) => setTimeout(resolve, 1000).unref())
      await Promise.race([written, slow])
      waiting.set(key, { key, url, body, at, failures: 0, notBefore: 0, busy: false })
      setImmediate(pump)
    },
    get waiting() {
      return waiting.size
    },
    async close() {
      stopping.abort()
      clearTimeout(timer)
      await Promise.allSettled(running)
    },
  }
}
