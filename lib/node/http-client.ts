// Outgoing HTTP. Paths go out verbatim (network nodes escape model ids twice), redirects are not followed, answers are
// bounded, every connection is checked against the address rule.

import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { type AddressRule, guardedLookup } from './address-rule.ts'

export interface ClientTls {
  /** PEM. Presented to servers that ask for a client certificate. */
  readonly cert?: string
  readonly key?: string
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca?: string
}

export interface Answer {
  readonly status: number
  readonly body: string
}

export interface HttpClient {
  /** Sends a request and reads the answer (its first 64 KiB unless maxBody says otherwise). Rejects on transport errors,
   *  timeouts, aborts and refused addresses; any HTTP status resolves. */
  send(
    method: string,
    url: string,
    options?: {
      readonly json?: unknown
      readonly body?: string | Uint8Array
      readonly headers?: Readonly<Record<string, string>>
      readonly timeoutMs?: number
      readonly signal?: AbortSignal
      readonly maxBody?: number
    },
  ): Promise<Answer>
  /** Opens a request whose body the caller streams and whose answer it reads itself. */
  open(
    method: string,
    url: string,
    headers: Readonly<Record<string, string | string[]>>,
    timeoutMs: number,
  ): { readonly request: ReturnType<typeof httpRequest>; readonly response: Promise<IncomingMessage> }
  close(): void
}

export function httpClient(rule: AddressRule, tls: ClientTls = {}): HttpClient {
  const http = new HttpAgent({ keepAlive: true, maxSockets: 512, maxFreeSockets: 64 })
  const https = new HttpsAgent({ keepAlive: true, maxSockets: 512, maxFreeSockets: 64, ...tls })
  const lookup = guardedLookup(rule)

  const begin = (method: string, text: string, headers: Readonly<Record<string, string | string[]>>) => {
    const url = rule.checkUrl(text)
    const secure = url.protocol === 'https:'
    // The path is cut from the text, not from the parsed URL: parsing would normalise what must arrive as it was given.
    const path = /^[a-z]+:\/\/[^/?#]*([^#]*)/i.exec(text)?.[1] || '/'
    return (secure ? httpsRequest : httpRequest)({
      method,
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
      path: path.startsWith('/') ? path : `/${path}`,
      headers,
      agent: secure ? https : http,
      lookup: lookup as never,
    })
  }

  const send: HttpClient['send'] = (method, url, options = {}) =>
    new Promise((resolve, reject) => {
      const body = options.json === undefined ? options.body : JSON.stringify(options.json)
      const headers: Record<string, string> = { ...options.headers }
      if (options.json !== undefined) headers['content-type'] = 'application/json'
      if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body))
      let request: ReturnType<typeof httpRequest>
      try {
        request = begin(method, url, headers)
      } catch (error) {
        reject(error)
        return
      }
      const limit = options.maxBody ?? 65_536
      const timeoutMs = options.timeoutMs ?? 10_000
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
      const abort = () => request.destroy(new Error('cancelled'))
      options.signal?.addEventListener('abort', abort, { once: true })
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        options.signal?.removeEventListener('abort', abort)
        finish()
      }
      if (options.signal?.aborted) abort()
      request.on('error', (error) => settle(() => reject(error)))
      request.on('response', (response) => {
        const parts: Buffer[] = []
        let size = 0
        response.on('data', (part: Buffer) => {
          if (size < limit) parts.push(part.subarray(0, limit - size))
          size += part.length
          // An endless answer must not hold the connection: what was read is enough to act on the status.
          if (size > limit + 1_048_576) response.destroy()
        })
        const done = () =>
          settle(() => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') }))
        response.on('end', done)
        response.on('close', () => {
          if (response.complete || size > limit) done()
          else settle(() => reject(new Error('connection closed in the middle of the answer')))
        })
        response.on('error', (error) => settle(() => reject(error)))
      })
      request.end(body)
    })

  const open: HttpClient['open'] = (method, url, headers, timeoutMs) => {
    const request = begin(method, url, headers)
    request.setTimeout(timeoutMs, () => request.destroy(new Error(`no data for ${timeoutMs} ms`)))
    const response = new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve)
      request.on('error', reject)
    })
    return { request, response }
  }

  return {
    send,
    open,
    close() {
      http.destroy()
      https.destroy()
    },
  }
}
