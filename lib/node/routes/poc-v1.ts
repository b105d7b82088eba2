// PoC v1 routes, for private networks.

import { initV1Schema, proofBatchSchema } from '../../protocol/wire-v1.ts'
import type { NodeContext } from '../context.ts'
import { bodyOf, type Server } from '../server.ts'

export function pocV1Routes(app: Server, context: NodeContext): void {
  const { pocV1 } = context
  if (pocV1 === undefined) return
  app.post('/api/v1/pow/init', async (request) => pocV1.init(bodyOf(request, initV1Schema), undefined))
  app.post('/api/v1/pow/init/generate', async (request) => pocV1.init(bodyOf(request, initV1Schema), 'generate'))
  app.post('/api/v1/pow/init/validate', async (request) => pocV1.init(bodyOf(request, initV1Schema), 'validate'))
  app.post('/api/v1/pow/phase/generate', async () => pocV1.setPhase('generate'))
  app.post('/api/v1/pow/phase/validate', async () => pocV1.setPhase('validate'))
  app.post('/api/v1/pow/validate', async (request) => pocV1.validate(bodyOf(request, proofBatchSchema)))
  app.get('/api/v1/pow/status', async () => pocV1.status())
  app.post('/api/v1/pow/stop', async () => {
    await pocV1.stop()
    return { status: 'OK', pow_status: pocV1.status() }
  })
}
