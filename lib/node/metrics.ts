// Prometheus metrics of a node. Names start with gonka_miner_; device figures have the names, units and labels of NVIDIA's
// dcgm-exporter, so that its dashboards show them.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { GpuFigures, GpuReader } from './gpu.ts'

export interface NodeMetrics {
  readonly registry: Registry
  readonly computed: Counter<'engine' | 'purpose'>
  readonly computeSeconds: Histogram<'engine'>
  readonly failures: Counter<'engine'>
  readonly generated: Counter<'kind'>
  readonly acknowledged: Counter<'kind'>
  readonly dropped: Counter<'kind' | 'reason'>
  readonly redelivered: Counter
  readonly deliveries: Counter<'outcome'>
  readonly deliverySeconds: Histogram
  readonly verdicts: Counter<'outcome'>
  readonly requests: Counter<'route' | 'status'>
  readonly storeDegraded: Gauge
  /** 99th percentile of the event loop's delay since the last call, milliseconds. */
  eventLoopP99(): number
  close(): void
}

export interface Gauges {
  readonly waiting: () => number
  readonly queuedNonces: () => number
  readonly verdictsWaiting: () => number
  readonly generating: () => number
  readonly joules: () => number | undefined
  readonly gpu: GpuReader
}

export function createMetrics(gauges: Gauges): NodeMetrics {
  const registry = new Registry()
  const registers = [registry]
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[] = []) =>
    new Counter({ name: `gonka_miner_${name}`, help, labelNames: [...labelNames], registers })
  const gauge = (name: string, help: string, read?: () => number) =>
    new Gauge({
      name: `gonka_miner_${name}`,
      help,
      registers,
      ...(read === undefined
        ? {}
        : {
            collect() {
              this.set(read())
            },
          }),
    })
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const p99 = () => {
    const value = delay.percentile(99) / 1e6
    return Number.isFinite(value) ? Math.max(0, value - 10) : 0
  }
  const computed = counter('nonces_computed_total', 'Nonces computed', ['engine', 'purpose'] as const)
  gauge('artifacts_waiting', 'Artifacts stored and not acknowledged', gauges.waiting)
  gauge('validation_nonces_queued', 'Nonces of validation jobs not finished', gauges.queuedNonces)
  gauge('verdicts_waiting', 'Verdicts not delivered', gauges.verdictsWaiting)
  gauge('groups_generating', 'Engines generating', gauges.generating)
  gauge('event_loop_delay_p99_seconds', 'Delay of the event loop, 99th percentile', () => p99() / 1000)
  gauge('process_resident_bytes', 'Resident memory of the process', () => process.memoryUsage.rss())
  new Gauge({
    name: 'gonka_miner_joules_per_nonce',
    help: 'Energy of the devices per nonce computed since the start; absent if no device reports energy',
    registers,
    async collect() {
      const joules = gauges.joules()
      const total = (await computed.get()).values.reduce((sum, v) => sum + v.value, 0)
      if (joules !== undefined && total > 0) this.set(joules / total)
      else this.remove()
    },
  })
  addDeviceGauges(registry, gauges.gpu)
  return {
    registry,
    computed,
    computeSeconds: new Histogram({
      name: 'gonka_miner_batch_seconds',
      help: 'Time to compute a batch of nonces',
      labelNames: ['engine'],
      buckets: [0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60],
      registers,
    }),
    failures: counter('batch_failures_total', 'Batches that failed and were computed again', ['engine'] as const),
    generated: counter('artifacts_generated_total', 'Artifacts generated and stored', ['kind'] as const),
    acknowledged: counter('artifacts_acknowledged_total', 'Artifacts acknowledged by the network node', [
      'kind',
    ] as const),
    dropped: counter('artifacts_dropped_total', 'Artifacts given up', ['kind', 'reason'] as const),
    redelivered: counter('artifacts_redelivered_total', 'Artifacts sent again under the same request id'),
    deliveries: counter('deliveries_total', 'Deliveries of artifact batches', ['outcome'] as const),
    deliverySeconds: new Histogram({
      name: 'gonka_miner_delivery_seconds',
      help: 'Time until a delivery was answered',
      buckets: [0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10],
      registers,
    }),
    verdicts: counter('verdicts_total', 'Deliveries of validation verdicts', ['outcome'] as const),
    requests: counter('http_requests_total', 'Requests answered', ['route', 'status'] as const),
    storeDegraded: new Gauge({
      name: 'gonka_miner_store_degraded',
      help: '1 while the disk refuses writes and artifacts are kept in memory',
      registers,
    }),
    eventLoopP99: () => {
      const value = p99()
      delay.reset()
      return value
    },
    close: () => delay.disable(),
  }
}

const millijoules = (joules: number | null) => (joules === null ? null : joules * 1000)

const deviceFigures: readonly [name: string, help: string, read: (device: GpuFigures) => number | null][] = [
  ['DCGM_FI_DEV_GPU_UTIL', 'Utilisation, percent', (d) => d.utilization_percent],
  ['DCGM_FI_DEV_GPU_TEMP', 'Temperature, degrees Celsius', (d) => d.temperature_c],
  ['DCGM_FI_DEV_POWER_USAGE', 'Power, watts', (d) => d.power_w],
  [
    'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION',
    'Energy since the driver was loaded, millijoules',
    (d) => millijoules(d.energy_j),
  ],
  ['DCGM_FI_DEV_SM_CLOCK', 'Clock of the processors, MHz', (d) => d.core_clock_mhz],
  ['DCGM_FI_DEV_MEM_CLOCK', 'Clock of the memory, MHz', (d) => d.memory_clock_mhz],
  ['DCGM_FI_DEV_XID_ERRORS', 'Number of the last error event, 0: none', (d) => d.last_xid],
  ['DCGM_FI_DEV_FB_USED', 'Memory used, MiB', (d) => d.used_memory_mb],
  ['DCGM_FI_DEV_FB_FREE', 'Memory free, MiB', (d) => d.free_memory_mb],
]

/** A device that does not report a figure has no sample of it; a machine without devices has no samples at all. */
function addDeviceGauges(registry: Registry, gpu: GpuReader): void {
  for (const [name, help, read] of deviceFigures) {
    new Gauge({
      name,
      help,
      labelNames: ['gpu', 'modelName'],
      registers: [registry],
      async collect() {
        this.reset()
        for (const device of await gpu.devices()) {
          const value = read(device)
          if (value !== null) this.set({ gpu: String(device.index), modelName: device.name }, value)
        }
      },
    })
  }
}

/** Drop reasons are free text from peers: as labels they are reduced to the few that matter. */
export function dropLabel(reason: string): string {
  if (reason === 'deadline' || reason === 'complete') return reason
  const status = /^(\d{3})\b/.exec(reason)?.[1]
  return status === undefined ? 'other' : `status_${status}`
}
