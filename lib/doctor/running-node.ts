/** Checks of a node that runs: whether it answers, what it serves, whether it loses anything. */
import { z } from 'zod'
import { messageOf } from '../errors.ts'
import { type Check, failure, ok, warning } from './check.ts'

const overviewSchema = z.object({
  state: z.string(),
  model: z.string().nullable(),
  poc_status: z.string().nullish(),
  batch_failures: z.number(),
  dropped: z.number(),
  nonces_computed: z.number(),
  event_loop_delay_p99_ms: z.number(),
  store: z.object({ degraded: z.boolean(), error: z.string().nullable() }),
  stages: z.array(
    z.object({
      height: z.number(),
      callback: z.string(),
      generating: z.boolean(),
      started: z.number(),
      generated: z.number(),
      acknowledged: z.number(),
      dropped_by: z.record(z.string(), z.number()),
    }),
  ),
})
type Overview = z.infer<typeof overviewSchema>

const skewLimitMs = 5000
/** A stage that generates this long without one acknowledged artifact has a callback that does not work. */
const silenceMs = 30_000

export interface NodeTarget {
  readonly url: string
  readonly token: string | undefined
  readonly now: () => number
  readonly signal?: AbortSignal
}

export async function checkNode(target: NodeTarget): Promise<Check[]> {
  const { token } = target
  const base = target.url.replace(/\/+$/, '')
  const get = (path: string) =>
    fetch(`${base}${path}`, {
      signal: AbortSignal.any([AbortSignal.timeout(10_000), ...(target.signal ? [target.signal] : [])]),
      headers: token ? { authorization: `Bearer ${token}` } : {},
    })
  let overview: Overview
  try {
    const answer = await get('/dashboard/data.json')
    if (answer.status === 401) {
      return [failure('node', `${base} wants its token`, 'export GONKA_MINER_LISTEN_TOKEN=...')]
    }
    const parsed = overviewSchema.safeParse(answer.status === 200 ? await answer.json() : undefined)
    if (!parsed.success) {
      return [
        failure('node', `${base} answers ${answer.status}, but not as a gonka-miner node`, `curl -i ${base}/health`),
      ]
    }
    overview = parsed.data
  } catch (error) {
    const cause = (error as { cause?: unknown }).cause ?? error
    return [failure('node', `${base} does not answer: ${messageOf(cause)}`, 'gonka-miner serve')]
  }
  return [
    ok('node', `${base} answers, ${overview.state}`),
    checkModel(overview, base),
    checkStore(overview),
    checkFailures(overview),
    ...checkStages(overview, target.now()),
    checkLoop(overview),
    await checkClock(get, target.now),
  ].filter((check) => check !== undefined)
}

function checkModel({ state, model }: Overview, base: string): Check {
  if (state === 'POW') return ok('served model', 'PoC v1 runs')
  if (state === 'INFERENCE') return ok('served model', model ?? '')
  const fix = `curl -X POST ${base}/api/v1/inference/up -d '{"model":"ORG/NAME"}'`
  return warning('served model', 'no model is up: the network node brings it up when it knows this node', fix)
}

function checkStore({ store }: Overview): Check {
  if (!store.degraded) return ok('store', 'takes writes')
  return failure('store', `the disk refuses writes: ${store.error}; artifacts are in memory only`, 'df -h')
}

function checkFailures({ batch_failures: failed, nonces_computed: computed }: Overview): Check {
  if (failed === 0) return ok('batches', 'none failed')
  const detail = `${failed} batches failed beside ${computed} nonces computed`
  return warning('batches', detail, 'journalctl -u gonka-miner --grep "batch failed"')
}

function checkStages({ stages }: Overview, now: number): Check[] {
  const checks: Check[] = []
  const silent = stages.find(
    (s) =>
      s.generating && s.generated > 0 && s.acknowledged === 0 && s.callback !== 'none' && now - s.started > silenceMs,
  )
  if (silent !== undefined) {
    const detail = `stage ${silent.height}: ${silent.generated} artifacts generated, none acknowledged by ${silent.callback}`
    checks.push(failure('callbacks', detail, `curl -i ${silent.callback}`))
  }
  const reasons = new Map<string, number>()
  for (const stage of stages) {
    for (const [why, count] of Object.entries(stage.dropped_by)) reasons.set(why, (reasons.get(why) ?? 0) + count)
  }
  const listed = [...reasons].map(([why, count]) => `${count} for "${why}"`).join(', ')
  if (reasons.size === 0) checks.push(ok('dropped artifacts', 'none'))
  else if ([...reasons.keys()].some((why) => why.includes('unknown node_num'))) {
    checks.push(
      failure('dropped artifacts', `${listed}: the network node does not know this node's number`, 'gonka-miner join'),
    )
  } else checks.push(warning('dropped artifacts', listed, 'gonka-miner status --json'))
  return checks
}

function checkLoop({ event_loop_delay_p99_ms: delay }: Overview): Check {
  const detail = `99 % of answers start within ${delay} ms`
  if (delay < 500) return ok('answers', detail)
  return warning('answers', `${detail}: status requests are given up after 5 s`, 'uptime')
}

async function checkClock(get: (path: string) => Promise<Response>, now: () => number): Promise<Check | undefined> {
  const before = now()
  const answer = await get('/api/v1/clock').catch(() => undefined)
  const received = answer?.headers.get('x-server-recv-ns')
  if (!received) return undefined
  const skew = Number(BigInt(received) / 1_000_000n) - (before + now()) / 2
  if (Math.abs(skew) < skewLimitMs) return ok('clock of the node', `${Math.round(skew)} ms from this one`)
  return failure('clock of the node', `${Math.round(skew / 1000)} s from this one`, 'sudo timedatectl set-ntp true')
}
