// What the route fuzzer sends to: every route of a node's servers, with a valid body each.

import type { Server } from '../../lib/node/server.ts'
import { initBody, type TestNode } from '../node/peer.ts'

export interface Target {
  readonly server: Server
  readonly method: string
  readonly path: string
  readonly body: unknown
}

type Route = readonly [method: string, path: string, body?: unknown]

const given = { ...initBody(null), nonces: [1, 2], wait: true }
const claimed = {
  ...{ ...initBody(null), nonces: [3], validation: { artifacts: [{ nonce: 3, vector_b64: 'AAAA' }] } },
  stat_test: { dist_threshold: 0.4, p_mismatch: 0.1, p_value_threshold: 0.05 },
}
const model = { hf_repo: 'org/m', hf_commit: 'abc' }
const files = ['/', '/dashboard/page.css', '/dashboard/page.js', '/dashboard/uplot.js', '/dashboard/uplot.css']
const v2 = (prefix: string): readonly Route[] => [
  ['POST', `${prefix}/init/generate`, initBody(null)],
  ['POST', `${prefix}/generate`, given],
  ['POST', `${prefix}/generate`, claimed],
  ['POST', `${prefix}/stop`],
  ['GET', `${prefix}/status`],
  ['GET', `${prefix}/generate/5001:0`],
]
const chat: Route = ['POST', '/v1/chat/completions', { messages: [] }]

const management: readonly Route[] = [
  ...v2('/api/v1/inference/pow'),
  ['POST', '/api/v1/inference/up', { model: 'test/model', dtype: 'auto', additional_args: ['--x'] }],
  ['POST', '/api/v1/inference/up/async', { model: 'test/model' }],
  ['GET', '/api/v1/inference/up/status'],
  ['POST', '/api/v1/inference/down'],
  ['POST', '/api/v1/models/status', { hf_repo: 'org/m', hf_commit: null }],
  ['POST', '/api/v1/models/download', model],
  ['DELETE', '/api/v1/models', model],
  ['GET', '/api/v1/models/list'],
  ['GET', '/api/v1/models/space'],
  ['GET', '/api/v1/gpu/devices'],
  ['GET', '/api/v1/gpu/driver'],
  ['GET', '/api/v1/state'],
  ['GET', '/api/v1/versions'],
  ['POST', '/api/v1/stop'],
  ['GET', '/health'],
  ['GET', '/livez'],
  ['GET', '/readyz'],
  ['GET', '/api/v1/clock'],
  ['GET', '/api/v1/metrics'],
  ['GET', '/metrics'],
  ['GET', '/v1/models'],
  chat,
  ...files.map((path): Route => ['GET', path]),
  ['GET', '/dashboard/data.json'],
]
const inference: readonly Route[] = [...v2('/api/v1/pow'), ['GET', '/health'], ['GET', '/v1/models'], chat]

const params = {
  ...{ dim: 32, n_layers: 1, n_heads: 2, n_kv_heads: 2, vocab_size: 64, ffn_dim_multiplier: 1.3, multiple_of: 16 },
  ...{ norm_eps: 1e-5, rope_theta: 10_000, use_scaled_rope: false, seq_len: 8 },
}
const init = {
  ...{ node_id: 1, node_count: 2, block_hash: 'AB12', block_height: 77, public_key: '02ab', batch_size: 32 },
  ...{ r_target: 1.4, fraud_threshold: 1e-7, params, url: null },
}
const batch = { public_key: '03', block_hash: 'AB12', block_height: 77, nonces: [1], dist: [1.2], node_id: 0 }
const v1: readonly Route[] = [
  ['POST', '/api/v1/pow/init', init],
  ['POST', '/api/v1/pow/init/generate', init],
  ['POST', '/api/v1/pow/init/validate', init],
  ['POST', '/api/v1/pow/phase/generate'],
  ['POST', '/api/v1/pow/phase/validate'],
  ['POST', '/api/v1/pow/validate', batch],
  ['GET', '/api/v1/pow/status'],
  ['POST', '/api/v1/pow/stop'],
]

/** Method and path of every route, from the tree that the router prints. */
function* routesOf(server: Server): Generator<readonly [methods: string, path: string]> {
  const above: string[] = []
  for (const line of server.printRoutes({ commonPrefix: false }).split('\n')) {
    const [, indent = '', part = '', methods] = /^([│ ]*)[├└]── (\S*)(?: \(([A-Z, ]+)\))?/.exec(line) ?? []
    above.splice(indent.length / 4, above.length, part)
    if (methods !== undefined) yield [methods, above.join('')]
  }
}

/** Registered routes that no target meets. */
function missed(server: Server, targets: readonly Target[]): string[] {
  const out: string[] = []
  for (const [methods, url] of routesOf(server)) {
    const pattern = new RegExp(`^${url.replace(/:\w+/g, '[^/]+').replace(/\*/g, '.*')}$`)
    const met = targets.some((t) => t.server === server && pattern.test(t.path) && methods.includes(t.method))
    if (!met) out.push(`${methods} ${url}`)
  }
  return out
}

/** Targets of a node with both ports, and of one that computes PoC v1. Throws if a route of theirs is left out. */
export function fuzzTargets(node: TestNode, nodeV1: TestNode): readonly Target[] {
  const of = (server: Server, routes: readonly Route[]) =>
    routes.map(([method, path, body]): Target => ({ server, method, path, body }))
  const port = node.inference as Server
  const targets = [...of(node.management, management), ...of(port, inference), ...of(nodeV1.management, v1)]
  const left = [...missed(node.management, targets), ...missed(port, targets)]
  left.push(...missed(nodeV1.management, [...targets, ...of(nodeV1.management, management)]))
  if (left.length > 0) throw new Error(`routes that are not fuzzed: ${left.join('; ')}`)
  return targets
}
