// Bringing the model up and down.

import { z } from 'zod'
import type { NodeContext } from '../context.ts'
import { bodyOf, type Server } from '../server.ts'

const upSchema = z.object({
  model: z.string().min(1).max(512),
  dtype: z.string().max(32).nullish(),
  additional_args: z.array(z.string().max(4096)).max(1000).nullish(),
})

export function inferenceRoutes(app: Server, context: NodeContext): void {
  const { service } = context

  app.post('/api/v1/inference/up', async (request) => {
    const { model } = bodyOf(request, upSchema)
    await service.up(model)
    return { status: 'OK' }
  })
  app.post('/api/v1/inference/up/async', async (request) => {
    const { model } = bodyOf(request, upSchema)
    service.upAsync(model)
    return { status: 'starting', message: `${model} is being started` }
  })
  app.get('/api/v1/inference/up/status', async () => service.upStatus())
  app.post('/api/v1/inference/down', async () => {
    service.checkConflict('INFERENCE')
    await service.down()
    return { status: 'OK' }
  })
}
