// State, health, versions, clock, metrics.

import type { NodeContext } from '../context.ts'
import type { Server } from '../server.ts'

const healthCacheMs = 5000

export function stateRoutes(app: Server, context: NodeContext): void {
  const { service, poc, pocV1, gpu, metrics, version } = context

  app.get('/api/v1/state', async () => ({
    state: service.state(),
    version,
    poc_status: service.state() === 'INFERENCE' ? poc.stateStatus() : null,
    inference_healthy: await service.healthy(),
    loaded_model: service.model,
    poc_validation_inference: context.validationBesideInference,
  }))

  app.post('/api/v1/stop', async () => {
    await poc.stop()
    await pocV1?.stop()
    await service.down()
    return { status: 'OK' }
  })

  app.get('/api/v1/versions', async () => ({
    version,
    vllm_version: (await context.upstreams?.version()) ?? null,
    poc_validation_inference: context.validationBesideInference,
  }))

  let cached: { at: number; answer: { healthy: boolean; body: Record<string, unknown> } } | undefined
  const health = async () => {
    const now = performance.now()
    if (cached !== undefined && now - cached.at < healthCacheMs) return cached.answer
    const state = service.state()
    const [devices, inferenceHealthy] = await Promise.all([gpu.devices(), service.healthy()])
    const store = context.store.health()
    const powRunning = state === 'POW'
    const powHealthy = powRunning && pocV1?.healthy() === true
    const healthy = (state !== 'INFERENCE' || inferenceHealthy) && (!powRunning || powHealthy) && !store.degraded
    const body = {
      status: healthy ? 'healthy' : 'unhealthy',
      service_state: state,
      gpu: { available: devices.length > 0, count: devices.length, devices: [...new Set(devices.map((d) => d.name))] },
      managers: {
        pow: { running: powRunning, healthy: powHealthy },
        inference: { running: state === 'INFERENCE', healthy: inferenceHealthy },
        train: { running: false, healthy: false },
      },
      ...(store.degraded ? { store: { degraded: true, error: store.error } } : {}),
    }
    cached = { at: now, answer: { healthy, body } }
    return cached.answer
  }
  for (const path of ['/health', '/livez']) {
    app.get(path, async (_request, reply) => {
      const { healthy, body } = await health()
      return reply.code(healthy ? 200 : 503).send(body)
    })
  }
  app.get('/readyz', async (_request, reply) => {
    const ready = !context.store.health().degraded
    return reply.code(ready ? 200 : 503).send({ ready })
  })

  const nanoseconds = () =>
    (BigInt(Math.round(performance.timeOrigin * 1000)) * 1000n + BigInt(Math.round(performance.now() * 1e6))).toString()
  app.get('/api/v1/clock', async (_request, reply) => {
    const received = nanoseconds()
    return reply.code(204).header('x-server-recv-ns', received).header('x-server-send-ns', nanoseconds()).send()
  })

  for (const path of ['/api/v1/metrics', '/metrics']) {
    app.get(path, async (_request, reply) => {
      if (!context.metricsEnabled) return reply.code(404).send({ detail: 'Not Found' })
      return reply
        .header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
        .send(await metrics.registry.metrics())
    })
  }
}
