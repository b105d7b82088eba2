// One snapshot of everything the dashboard and `status` show.

import type { NodeContext } from './context.ts'
import type { Energy } from './energy.ts'
import { loggedUrl } from './log.ts'
import type { Replica } from './replica.ts'

const windowMs = 60_000

/** Counts over the last minute. */
function rateMeter() {
  const samples: { at: number; total: number }[] = []
  return (total: number): number => {
    const now = performance.now()
    samples.push({ at: now, total })
    while (samples.length > 1 && now - (samples[0]?.at ?? now) > windowMs) samples.shift()
    const first = samples[0]
    const seconds = first === undefined ? 0 : (now - first.at) / 1000
    return seconds > 0.5 && first !== undefined ? ((total - first.total) / seconds) * 60 : 0
  }
}

export function createOverview(
  context: Omit<NodeContext, 'overview'>,
  replicas: readonly Replica[],
  energy: Energy,
): () => Promise<Record<string, unknown>> {
  const { service, poc, pocV1, outbox, metrics, gpu, store } = context
  const meter = rateMeter()
  const sum = (values: readonly { value: number }[]) => values.reduce((total, v) => total + v.value, 0)
  let cached: { at: number; value: Promise<Record<string, unknown>> } | undefined

  const snapshot = async (): Promise<Record<string, unknown>> => {
    const [computed, acknowledged, dropped, failures] = await Promise.all([
      metrics.computed.get(),
      metrics.acknowledged.get(),
      metrics.dropped.get(),
      metrics.failures.get(),
    ])
    const total = sum(computed.values)
    const watts = energy.watts()
    const joules = energy.joules()
    const stages = [...outbox.stages()].sort((a, b) => b.started.wallMs - a.started.wallMs)
    return {
      at: Date.now(),
      version: context.version,
      engines: context.engineNames,
      state: service.state(),
      model: service.model,
      poc_status: service.state() === 'POW' ? pocV1?.status().status : poc.stateStatus(),
      nonces_per_minute: Math.round(meter(total) * 10) / 10,
      nonces_computed: total,
      acknowledged: sum(acknowledged.values),
      dropped: sum(dropped.values),
      batch_failures: sum(failures.values),
      artifacts_waiting: outbox.waiting(),
      validation_nonces_queued: replicas.reduce((n, replica) => n + replica.queue.waitingNonces, 0),
      store: store.health(),
      event_loop_delay_p99_ms: Math.round(metrics.eventLoopP99() * 10) / 10,
      resident_mb: Math.round(process.memoryUsage.rss() / 1e6),
      power_w: watts ?? null,
      joules_per_nonce: joules !== undefined && total > 0 ? joules / total : null,
      devices: await gpu.devices(),
      stages: stages.map((stage) => ({
        id: stage.id,
        kind: stage.kind,
        height: stage.blockHeight,
        model: stage.kind === 'v2' ? stage.model : 'PoC v1',
        callback: loggedUrl(stage.url),
        started: stage.started.wallMs,
        deadline_ms: stage.deadlineMs,
        generating: stage.generating,
        generated: stage.generated,
        acknowledged: stage.acknowledged,
        waiting: outbox.waiting(stage),
        dropped: stage.dropped,
        dropped_by: stage.droppedBy,
        redelivered: stage.redelivered,
        closed: stage.closed,
      })),
    }
  }
  return () => {
    // Many viewers share one snapshot.
    const now = performance.now()
    if (cached === undefined || now - cached.at > 500) cached = { at: now, value: snapshot() }
    return cached.value
  }
}
