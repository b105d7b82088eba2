// Servers that run the model for us: their health, the requests they serve for us, and which one has room.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { messageOf } from '../errors.ts'
import type { HttpClient } from './http-client.ts'
import type { Log } from './log.ts'
import { loggedUrl } from './log.ts'

export interface Upstreams {
  readonly urls: readonly string[]
  /** First model id of the first healthy server; undefined if none answers. */
  servedModel(): Promise<string | undefined>
  /** True if at least one server is healthy. */
  healthy(): Promise<boolean>
  version(): Promise<string | null>
  /** Passes a request through, streaming both ways, to the healthy server with the fewest open requests. */
  proxy(request: IncomingMessage, response: ServerResponse, path: string): Promise<void>
  /** Ends requests in flight: generation is about to take the devices. */
  abortAll(): void
  readonly openRequests: number
}

const readTimeoutMs = 900_000
const healthCacheMs = 2000
// Connection-level headers concern one hop; the client's token is for us, not for the server behind.
const hopHeaders = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'authorization',
  'expect',
])

function passedHeaders(headers: IncomingMessage['headers']): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !hopHeaders.has(name)) out[name] = value
  }
  return out
}

export function createUpstreams(urls: readonly string[], http: HttpClient, log: Log): Upstreams {
  const states = urls.map((url) => ({ url, open: 0, checkedAt: Number.NEGATIVE_INFINITY, ok: Promise.resolve(false) }))
  const inFlight = new Set<() => void>()

  const isHealthy = (state: (typeof states)[number]): Promise<boolean> => {
    const now = performance.now()
    if (now - state.checkedAt > healthCacheMs) {
      state.checkedAt = now
      state.ok = http.send('GET', `${state.url}/health`, { timeoutMs: 5000, maxBody: 1024 }).then(
        (answer) => answer.status === 200,
        () => false,
      )
    }
    return state.ok
  }
  const healthyStates = async () => {
    const checked = await Promise.all(states.map(async (state) => ((await isHealthy(state)) ? state : undefined)))
    return checked.filter((state) => state !== undefined)
  }

  const fail = (response: ServerResponse, status: number, detail: string) => {
    if (response.headersSent) {
      response.destroy()
      return
    }
    const body = JSON.stringify({ detail })
    response
      .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
      .end(body)
  }

  return {
    urls,
    async servedModel() {
      for (const state of await healthyStates()) {
        try {
          const answer = await http.send('GET', `${state.url}/v1/models`, { timeoutMs: 5000 })
          const id = (JSON.parse(answer.body) as { data?: { id?: unknown }[] }).data?.[0]?.id
          if (typeof id === 'string') return id
        } catch {
          // The next server may know.
        }
      }
      return undefined
    },
    healthy: async () => (await healthyStates()).length > 0,
    async version() {
      for (const state of await healthyStates()) {
        try {
          const answer = await http.send('GET', `${state.url}/version`, { timeoutMs: 5000 })
          const { version } = JSON.parse(answer.body) as { version?: unknown }
          if (typeof version === 'string') return version
        } catch {
          // Servers without the route say nothing about their version.
        }
      }
      return null
    },
    async proxy(request, response, path) {
      const target = (await healthyStates()).sort((a, b) => a.open - b.open)[0]
      if (target === undefined) return fail(response, 503, 'No vLLM backend available')
      target.open++
      let upstream: ReturnType<HttpClient['open']>
      try {
        upstream = http.open(request.method ?? 'GET', target.url + path, passedHeaders(request.headers), readTimeoutMs)
      } catch (error) {
        target.open--
        return fail(response, 502, messageOf(error))
      }
      const cut = () => {
        upstream.request.destroy()
        response.destroy()
      }
      inFlight.add(cut)
      const done = new Promise<void>((resolve) => response.on('close', resolve))
      response.on('close', () => upstream.request.destroy())
      request.pipe(upstream.request)
      request.on('error', cut)
      try {
        const answer = await upstream.response
        response.writeHead(answer.statusCode ?? 502, passedHeaders(answer.headers))
        answer.on('error', cut)
        upstream.request.on('error', cut)
        answer.pipe(response)
        await done
      } catch (error) {
        if (!response.destroyed) {
          log.warn({ url: loggedUrl(target.url), error: messageOf(error) }, 'upstream connection failed')
          fail(response, 502, `upstream connection failed: ${messageOf(error)}`)
        }
      } finally {
        inFlight.delete(cut)
        target.open--
      }
    },
    abortAll() {
      for (const cut of [...inFlight]) cut()
    },
    get openRequests() {
      return inFlight.size
    },
  }
}
