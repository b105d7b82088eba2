// The other side of a node in tests: a server that records callbacks and answers them as told, and a client.

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resolveConfig } from '../../lib/node/config.ts'
import { createLog } from '../../lib/node/log.ts'
import { type NodeParts, openNode, type RunningNode } from '../../lib/node/node.ts'

export interface Callback {
  readonly path: string
  readonly body: Record<string, unknown>
  readonly at: number
  readonly status: number
}

export interface Peer {
  readonly url: string
  readonly callbacks: Callback[]
  /** Decides each answer; default 200. 0 cuts the connection after reading the body, -1 before. */
  answer: (path: string, body: Record<string, unknown>) => number | { status: number; body: string }
  /** Nonces acknowledged, with how often. */
  readonly accepted: Map<number, number>
  close(): Promise<void>
}

export async function startPeer(): Promise<Peer> {
  const callbacks: Callback[] = []
  const accepted = new Map<number, number>()
  const peer = {
    callbacks,
    accepted,
    answer: (() => 200) as Peer['answer'],
    url: '',
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  const server: Server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(parts).toString('utf8') || '{}') as Record<string, unknown>
      const decided = peer.answer(request.url ?? '', body)
      const { status, body: text } = typeof decided === 'number' ? { status: decided, body: '' } : decided
      callbacks.push({ path: request.url ?? '', body, at: performance.now(), status })
      if (status <= 0) {
        request.socket.destroy()
        return
      }
      if (status < 400 && request.url?.endsWith('/generated')) {
        const nonces =
          (body.artifacts as { nonce: number }[] | undefined)?.map((a) => a.nonce) ?? (body.nonces as number[])
        for (const nonce of nonces) accepted.set(nonce, (accepted.get(nonce) ?? 0) + 1)
      }
      response.writeHead(status).end(text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  peer.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return peer
}

export interface TestNode extends RunningNode {
  readonly folder: string
  readonly logs: string[]
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>
  callInference(method: string, path: string, body?: unknown): Promise<Reply>
}

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any
}

export async function callUrl(
  url: string,
  method: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const answer = await fetch(url, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await answer.text()
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    json = undefined
  }
  return { status: answer.status, headers: answer.headers, text, json }
}

/** A node with the embedding engine on free ports, its model up, in a folder of its own. */
export async function startNode(
  flags: Record<string, string> = {},
  parts: Partial<NodeParts> = {},
  folder = mkdtempSync(join(tmpdir(), 'gonka-node-')),
): Promise<TestNode> {
  const config = resolveConfig({
    flags: {
      'listen.port': '0',
      'listen.inference_port': '0',
      'engine.kind': 'embedding',
      'engine.models': 'test/model',
      'engine.autostart': 'test/model',
      'engine.rate_limit': '2000',
      'callbacks.interval_ms': '50',
      'callbacks.backoff_ms': '20',
      'callbacks.max_backoff_ms': '100',
      'data.dir': folder,
      'data.sync': 'off',
      'data.model_cache': join(folder, 'models'),
      ...flags,
    },
  })
  const logs: string[] = []
  const log = createLog('debug', { write: (line: string) => void logs.push(line) })
  const native = () => Promise.reject(new Error('no addon in this test'))
  const node = await openNode(config.values, { log, env: {}, native, ...parts }).catch((error: unknown) => {
    removeFolder(folder)
    throw error
  })
  return {
    ...node,
    folder,
    logs,
    call: (method, path, body, headers) => callUrl(node.url + path, method, body, headers),
    callInference: (method, path, body) => callUrl((node.inferenceUrl ?? '') + path, method, body),
  }
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

export async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 300_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export const initBody = (url: string | null, more: Record<string, unknown> = {}) => ({
  block_hash: '9F2CA1',
  block_height: 6218000,
  public_key: '02a1b2',
  node_id: 1,
  node_count: 2,
  batch_size: 32,
  params: { model: 'test/model', seq_len: 64, k_dim: 12 },
  url,
  ...more,
})
