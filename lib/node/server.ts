// The HTTP frame around the routes: JSON in and out the way the reference answers, authorisation, version prefixes, limits.

import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { GonkaError, messageOf } from '../errors.ts'
import { parseBody } from '../protocol/wire-v2.ts'
import type { NodeContext } from './context.ts'
import { HttpError } from './http-error.ts'

export interface ServerTls {
  readonly cert: string
  readonly key: string
  /** Authorities of client certificates; given: clients must present one. */
  readonly ca?: string
}

const bodyLimit = 64 * 2 ** 20
const routeRoots = /^\/(api|v1|health|livez|readyz|metrics)(\/|$)/

/** Network nodes put the network's software version in front of the path, a proxy removes it; without one we do. */
export function withoutVersionPrefix(url: string): string {
  const match = /^\/(v?\d+(?:\.\d+)+[\w.-]*|v\d+)(\/[^?]*)(.*)$/.exec(url)
  if (match === null) return url
  const [, version = '', path = '', query = ''] = match
  if (!routeRoots.test(path)) return url
  // "/v1/health" is a path of its own, "/v3.0.16/health" is not.
  if (!version.includes('.') && !/^\/(api|v1)\//.test(path)) return url
  return path + query
}

export type Server = FastifyInstance

/** A server with error handling and authorisation, without routes. */
export function createServer(context: NodeContext, tls?: ServerTls): Server {
  const https = tls && {
    cert: tls.cert,
    key: tls.key,
    ...(tls.ca ? { ca: tls.ca, requestCert: true, rejectUnauthorized: true } : {}),
  }
  const app = Fastify({
    logger: false,
    bodyLimit,
    requestTimeout: 0,
    keepAliveTimeout: 72_000,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 200 },
    exposeHeadRoutes: false,
    rewriteUrl: (request: { url?: string | undefined }) => withoutVersionPrefix(request.url ?? '/'),
    ...(https ? { https } : {}),
  } as object) as unknown as FastifyInstance

  const known: { readonly pattern: RegExp; readonly method: string }[] = []
  app.addHook('onRoute', (route) => {
    const pattern = new RegExp(`^${route.url.replace(/[.]/g, '\\.').replace(/:\w+/g, '[^/]+').replace(/\*/g, '.*')}/?$`)
    for (const method of [route.method].flat()) known.push({ pattern, method })
  })

  app.removeAllContentTypeParsers()
  // The reference reads bodies as JSON whatever the header says, and a body of a route that takes none is ignored.
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))

  app.addHook('onRequest', async (request) => {
    const refused = context.authorisation.check({
      path: request.url.split('?')[0] ?? '',
      authorization: request.headers.authorization,
      origin: request.headers.origin,
      host: request.headers.host,
    })
    if (refused !== undefined) throw new HttpError(refused.status, refused.detail)
  })
  app.addHook('onResponse', async (request, reply) => {
    context.metrics.requests.inc({ route: request.routeOptions.url ?? 'none', status: String(reply.statusCode) })
  })

  app.setNotFoundHandler(async (request, reply) => {
    const path = request.url.split('?')[0] ?? ''
    const allowed = [...new Set(known.filter((route) => route.pattern.test(path)).map((route) => route.method))]
    if (allowed.length > 0 && !allowed.includes(request.method)) {
      return reply.code(405).header('allow', allowed.join(', ')).send({ detail: 'Method Not Allowed' })
    }
    return reply.code(404).send({ detail: 'Not Found' })
  })

  app.setErrorHandler(async (error: FastifyError | Error, request, reply) => {
    if (error instanceof HttpError) return reply.code(error.status).send({ detail: error.detail })
    const status = 'statusCode' in error ? error.statusCode : undefined
    if (status !== undefined && status >= 400 && status < 500) return reply.code(status).send({ detail: error.message })
    const expected = error instanceof GonkaError
    context.log.error(
      { route: request.routeOptions.url, error: messageOf(error), stack: expected ? undefined : error.stack },
      'a request failed inside the node',
    )
    return reply.code(500).send({ detail: expected ? error.message : 'Internal Server Error' })
  })
  return app
}

/** The request's body, checked; throws HttpError 422 with the path of every mistake. */
export function bodyOf<S extends z.ZodType>(request: FastifyRequest, schema: S): z.infer<S> {
  let value: unknown
  try {
    value = request.body === undefined || request.body === '' ? undefined : JSON.parse(request.body as string)
  } catch {
    throw new HttpError(422, [{ type: 'json_invalid', loc: ['body', 0], msg: 'JSON decode error' }])
  }
  if (value === undefined) throw new HttpError(422, [{ type: 'missing', loc: ['body'], msg: 'Field required' }])
  const parsed = parseBody(schema, value)
  if (!parsed.ok) throw new HttpError(422, parsed.problems)
  return parsed.value as z.infer<S>
}

/** Aborts when the caller hangs up before the answer is complete. */
export function signalOf(reply: FastifyReply): AbortSignal {
  const abort = new AbortController()
  // The response's own event, not the socket's: a socket serves many requests and would gather listeners.
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) abort.abort()
  })
  return abort.signal
}
