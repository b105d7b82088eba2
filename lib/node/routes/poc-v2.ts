// PoC v2: the node-level routes, and the replica-level ones for a server that stands for one replica.

import { generateSchema, initGenerateSchema } from '../../protocol/wire-v2.ts'
import type { NodeContext } from '../context.ts'
import { bodyOf, type Server, signalOf } from '../server.ts'

const node = '/api/v1/inference/pow'
const replica = '/api/v1/pow'

export function pocV2Routes(app: Server, context: NodeContext): void {
  const { poc } = context
  app.post(`${node}/init/generate`, async (request) => poc.initGenerate(bodyOf(request, initGenerateSchema)))
  app.post(`${node}/generate`, async (request, reply) => poc.generate(bodyOf(request, generateSchema), signalOf(reply)))
  app.get<{ Params: { id: string } }>(`${node}/generate/:id`, async (request) => poc.result(request.params.id))
  app.post(`${node}/stop`, async () => poc.stop())
  app.get(`${node}/status`, async () => poc.status())
}

export function replicaRoutes(app: Server, context: NodeContext): void {
  const { poc } = context
  app.post(`${replica}/init/generate`, async (request) => poc.replica.initGenerate(bodyOf(request, initGenerateSchema)))
  app.post(`${replica}/generate`, async (request, reply) =>
    poc.generate(bodyOf(request, generateSchema), signalOf(reply)),
  )
  app.get<{ Params: { id: string } }>(`${replica}/generate/:id`, async (request) => poc.result(request.params.id))
  app.post(`${replica}/stop`, async () => poc.replica.stop())
  app.get(`${replica}/status`, async () => poc.replica.status())
}
