// Requests for the model itself: passed to the upstream servers, or answered as far as a node without one can.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { NodeContext } from '../context.ts'
import { HttpError } from '../http-error.ts'
import type { Server } from '../server.ts'

const created = Math.floor(Date.now() / 1000)

function pass(context: NodeContext) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { upstreams, poc } = context
    if (upstreams === undefined) throw new HttpError(503, 'No vLLM backend available')
    // While generating the devices belong to PoC. Reading the list of models costs nothing.
    if (request.method !== 'GET' && poc.nodeStatus() === 'GENERATING') {
      throw new HttpError(503, 'PoC generation in progress')
    }
    reply.hijack()
    await upstreams.proxy(request.raw, reply.raw, request.url)
  }
}

const methods = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']

/** /v1/* on the management port. */
export function proxyRoutes(app: Server, context: NodeContext): void {
  const handler = pass(context)
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    // Bodies go through as streams, unread.
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
    if (context.upstreams === undefined) {
      scope.get('/v1/models', async () => {
        const id = context.service.model
        const data = id === null ? [] : [{ id, object: 'model', created, owned_by: 'gonka-miner' }]
        return { object: 'list', data }
      })
    }
    scope.route({ method: methods, url: '/v1/*', handler })
  })
}

/** The inference port: health of the model, and everything else passed on. */
export function inferencePortRoutes(app: Server, context: NodeContext): void {
  app.get('/health', async (_request, reply) => {
    const up = await context.service.healthy()
    return reply.code(up ? 200 : 503).send(up ? '' : { detail: 'no model is up' })
  })
  proxyRoutes(app, context)
}
