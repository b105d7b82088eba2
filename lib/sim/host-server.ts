// The HTTP side of a simulated host: callbacks of its ML nodes and proof requests of other hosts, with the faults that were
// asked for on the way.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import type { RouteAnswer } from './callbacks.ts'
import type { FaultCounts, Faults } from './faults.ts'

export interface HostServer {
  readonly url: string
  close(): Promise<void>
}

export interface HostServerParts {
  readonly route: (path: string, body: Record<string, unknown>) => RouteAnswer
  readonly faults: Faults
  readonly counts: FaultCounts
  readonly random: () => number
  /** Length of a fault's window, milliseconds: a second of the chain's time. */
  readonly windowMs: number
  readonly onTrouble: (what: string) => void
}

export async function startHostServer(given: HostServerParts): Promise<HostServer> {
  const { route, faults, counts, random } = given
  let closed = false

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const path = request.url ?? ''
    const callback = path.includes('/poc-batches/')
    if (callback && faults.delayMs > 0) await sleep(random() * faults.delayMs)
    if (callback && random() < faults.drop) {
      counts.drops++
      request.socket.destroy()
      return
    }
    if (callback && inStorm()) {
      counts.storms++
      response.writeHead(503).end('{"error":"service is overloaded"}')
      return
    }
    let body: Record<string, unknown>
    try {
      body = JSON.parse(Buffer.concat(parts).toString('utf8')) as Record<string, unknown>
    } catch {
      response.writeHead(400).end('{"error":"invalid JSON"}')
      return
    }
    const answer = route(path, body)
    if (callback && answer.status === 200 && random() < faults.duplicate) {
      counts.duplicates++
      setTimeout(() => route(path, body), random() * 500).unref()
    }
    if (callback && random() < faults.cut) {
      counts.cuts++
      request.socket.destroy()
      return
    }
    response.writeHead(answer.status, { 'content-type': 'application/json' })
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body))
  }

  let stormWindow = -1
  let storming = false
  const inStorm = () => {
    const now = Math.floor(performance.now() / given.windowMs)
    if (now !== stormWindow) {
      stormWindow = now
      storming = random() < faults.storm
    }
    return storming
  }

  const server: Server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!closed) given.onTrouble(`callback: ${messageOf(error)}`)
      response.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      closed = true
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
