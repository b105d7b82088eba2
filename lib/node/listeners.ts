// The two HTTP servers of a node: management and inference.

import type { AddressInfo } from 'node:net'
import { GonkaError, messageOf } from '../errors.ts'
import type { NodeContext } from './context.ts'
import { dashboardRoutes } from './dashboard-routes.ts'
import { inferenceRoutes } from './routes/inference.ts'
import { modelRoutes } from './routes/models.ts'
import { pocV1Routes } from './routes/poc-v1.ts'
import { pocV2Routes, replicaRoutes } from './routes/poc-v2.ts'
import { inferencePortRoutes, proxyRoutes } from './routes/proxy.ts'
import { stateRoutes } from './routes/state.ts'
import { createServer, type Server, type ServerTls } from './server.ts'
import type { Settings } from './settings.ts'

export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\./.test(host)

export interface Listeners {
  readonly management: Server
  /** Undefined where the settings leave the port closed. */
  readonly inference: Server | undefined
  readonly url: string
  /** Undefined where the settings leave the port closed. */
  readonly inferenceUrl: string | undefined
}

/** Opens the ports. Every server is given to `onClose` as soon as it listens. */
export async function openListeners(
  settings: Settings,
  context: NodeContext,
  tls: ServerTls | undefined,
  onClose: (close: () => Promise<unknown>) => void,
): Promise<Listeners> {
  const host = settings['listen.host']
  const management = createServer(context, tls)
  stateRoutes(management, context)
  inferenceRoutes(management, context)
  pocV2Routes(management, context)
  pocV1Routes(management, context)
  modelRoutes(management, context)
  proxyRoutes(management, context)
  dashboardRoutes(management, context)
  const url = await listen(management, host, settings['listen.port'], tls !== undefined)
  onClose(() => management.close())
  if (!settings['listen.inference']) return { management, inference: undefined, url, inferenceUrl: undefined }

  const inference = createServer(context, tls)
  replicaRoutes(inference, context)
  inferencePortRoutes(inference, context)
  const inferenceUrl = await listen(inference, host, settings['listen.inference_port'], tls !== undefined)
  onClose(() => inference.close())
  return { management, inference, url, inferenceUrl }
}

async function listen(app: Server, host: string, port: number, secure: boolean): Promise<string> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    throw new GonkaError('ERR_GK_INVALID_ARGUMENT', `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
      cause: error,
    })
  }
  const address = app.server.address() as AddressInfo
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${secure ? 'https' : 'http'}://${shown}:${address.port}`
}
