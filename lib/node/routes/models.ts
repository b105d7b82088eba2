// Models on disk and devices in the machine.

import { z } from 'zod'
import type { NodeContext } from '../context.ts'
import type { GpuDevice, GpuFigures } from '../gpu.ts'
import { HttpError } from '../http-error.ts'
import { cacheSpace, commitPattern, deleteModel, listModels, modelStatus, repoPattern } from '../model-cache.ts'
import { bodyOf, type Server } from '../server.ts'

/** Without the figures that only the node's own metrics have. */
function protocolForm(device: GpuFigures): GpuDevice {
  const { index, name, total_memory_mb, free_memory_mb, used_memory_mb } = device
  const { utilization_percent, temperature_c, is_available, error_message } = device
  return {
    ...{ index, name, total_memory_mb, free_memory_mb, used_memory_mb },
    ...{ utilization_percent, temperature_c, is_available, error_message },
  }
}

const modelSchema = z.object({
  hf_repo: z.string().regex(repoPattern, 'expected org/name'),
  hf_commit: z.preprocess((v) => v ?? null, z.string().regex(commitPattern).nullable()),
})

export function modelRoutes(app: Server, context: NodeContext): void {
  const { modelCache, downloads, gpu } = context

  app.post('/api/v1/models/status', async (request) => {
    const model = bodyOf(request, modelSchema)
    const progress = downloads.progress(model) ?? null
    const status = progress === null ? await modelStatus(modelCache, model) : 'DOWNLOADING'
    const error_message = status === 'DOWNLOADED' ? null : downloads.failure(model)
    return { model, status, progress, error_message }
  })
  app.post('/api/v1/models/download', async (request, reply) => {
    const model = bodyOf(request, modelSchema)
    return reply.code(202).send({ ...(await downloads.start(model)), model })
  })
  app.delete('/api/v1/models', async (request) => {
    const model = bodyOf(request, modelSchema)
    if (context.service.model === model.hf_repo) throw new HttpError(409, 'the model is loaded; stop inference first')
    const cancelled = await downloads.cancel(model)
    const deleted = await deleteModel(modelCache, model)
    if (!cancelled && !deleted) throw new HttpError(404, `Model ${model.hf_repo} not found`)
    return { status: cancelled ? 'cancelled' : 'deleted', model }
  })
  app.get('/api/v1/models/list', async () => ({ models: await listModels(modelCache) }))
  app.get('/api/v1/models/space', async () => cacheSpace(modelCache))

  app.get('/api/v1/gpu/devices', async () => {
    const devices = (await gpu.devices()).map(protocolForm)
    return { devices, count: devices.length }
  })
  app.get('/api/v1/gpu/driver', async () => {
    const driver = await gpu.driver()
    if (driver === undefined) throw new HttpError(503, 'no GPU driver answers on this machine')
    return driver
  })
}
