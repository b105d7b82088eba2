/**
 * status: what a running node is doing, and what that would earn.
 *
 * The reward is an estimate from the measured rate and from parameters that are given or read from a seed; the formula and
 * every assumption are printed with it.
 * JSON (--json): {"node": {...}, "estimate": {"nonces_per_minute", "nonces_per_stage", "weight", "total_weight", "share",
 * "epoch", "epoch_reward_ngonka", "reward_ngonka", "assumptions"} | null}; amounts in ngonka as text.
 */
import { z } from 'zod'
import { at, jsonFetch } from '../chain/chain-client.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import type { Io } from '../io.ts'
import { epochReward, formatGnk } from '../sim/weights.ts'
import { type Define, decimal, integer, jsonOption } from './command.ts'

interface Options {
  readonly url: string
  readonly seed?: string
  readonly coefficient?: number
  readonly totalWeight?: number
  readonly epoch?: number
  readonly rate?: number
  readonly json?: boolean
}

/** Minutes of a stage in which a node really works: 3.16 nominal, less start and commit losses as published. */
const effectiveMinutes = 2.54

export const define: Define = (command, run) => {
  command
    .option('--url <url>', 'management address of the node', 'http://127.0.0.1:8080')
    .option('--seed <url>', 'read epoch and total weight from this host')
    .option(
      '--coefficient <c>',
      'weight_scale_factor of the model',
      decimal('a positive number', (c) => c > 0),
    )
    .option('--total-weight <n>', "the network's total weight", integer(1))
    .option('--epoch <n>', 'epoch the reward is reckoned for', integer(1, 1_000_000))
    .option(
      '--rate <n>',
      'nonces per minute; measured at the node if absent',
      decimal('a positive number', (r) => r > 0),
    )
    .option(...jsonOption)
    .action(run(status))
}

const count = z.number().nonnegative()
const nodeSchema = z.looseObject({
  state: z.string(),
  model: z.string().nullable(),
  poc_status: z.string().nullable(),
  version: z.string(),
  engines: z.array(z.string()),
  nonces_per_minute: count,
  nonces_computed: count,
  acknowledged: count,
  dropped: count,
  artifacts_waiting: count,
  validation_nonces_queued: count,
  joules_per_nonce: z.number().nullable(),
  store: z.looseObject({ degraded: z.boolean(), error: z.string().nullable() }),
  stages: z.array(
    z.looseObject({
      height: z.number(),
      kind: z.string(),
      generating: z.boolean(),
      generated: count,
      acknowledged: count,
      waiting: count,
      dropped: count,
      closed: z.string().nullable(),
    }),
  ),
})
type Node = z.infer<typeof nodeSchema>

async function readNode(io: Io, base: string): Promise<Node> {
  const token = io.env.GONKA_MINER_LISTEN_TOKEN
  let answer: Response
  try {
    answer = await fetch(`${base}/dashboard/data.json`, {
      signal: AbortSignal.any([io.signal, AbortSignal.timeout(10_000)]),
      headers: token ? { authorization: `Bearer ${token}` } : {},
    })
  } catch (error) {
    throw new GonkaError('ERR_GK_BACKEND', `no node answers at ${base}; start one with: gonka-miner serve`, {
      cause: error,
    })
  }
  if (answer.status === 401) {
    throw new GonkaError('ERR_GK_USAGE', 'the node wants its token: set GONKA_MINER_LISTEN_TOKEN to it')
  }
  if (answer.status !== 200)
    throw new GonkaError('ERR_GK_BACKEND', `${base} answers ${answer.status}; is it a gonka-miner node?`)
  const node = nodeSchema.safeParse(await answer.json().catch(() => undefined))
  if (node.success) return node.data
  const { path, message } = node.error.issues[0] as { path: readonly PropertyKey[]; message: string }
  const what = path.length === 0 ? 'something else than a JSON object' : `${path.join('.')}: ${message}`
  throw new GonkaError('ERR_GK_BACKEND', `${base} answers with ${what}; is it a gonka-miner node of this version?`)
}

interface Network {
  readonly epoch: number | undefined
  readonly totalWeight: number | undefined
}

async function readNetwork(io: Io, seed: string | undefined): Promise<Network> {
  if (seed === undefined) return { epoch: undefined, totalWeight: undefined }
  const send = jsonFetch(io.signal)
  const base = seed.replace(/\/+$/, '')
  const group = await send('GET', `${base}/chain-api/productscience/inference/inference/current_epoch_group_data`)
  const data = at(group.json, 'epoch_group_data')
  // 64-bit integers come as text; anything else is as good as absent.
  const number = (value: unknown) => {
    const found = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
    return typeof found === 'number' && Number.isSafeInteger(found) && found >= 0 ? found : undefined
  }
  return { epoch: number(at(data, 'epoch_index')), totalWeight: number(at(data, 'total_weight')) }
}

async function status(io: Io, options: Options): Promise<number> {
  const node = await readNode(io, options.url.replace(/\/+$/, ''))
  const network = await readNetwork(io, options.seed)
  const epoch = options.epoch ?? network.epoch
  const totalWeight = options.totalWeight ?? network.totalWeight
  const rate = options.rate ?? node.nonces_per_minute
  const estimate =
    epoch === undefined || totalWeight === undefined || totalWeight <= 0
      ? null
      : estimateOf(rate, options.coefficient ?? 1, totalWeight, epoch, options)
  if (options.json) {
    const text = (_key: string, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)
    io.out.write(`${JSON.stringify({ node, estimate }, text)}\n`)
    return exitCodes.ok
  }
  print(io, node, estimate)
  return exitCodes.ok
}

function estimateOf(rate: number, coefficient: number, totalWeight: number, epoch: number, options: Options) {
  const nonces = rate * effectiveMinutes
  const weight = Math.trunc(nonces * coefficient)
  const reward = epochReward(epoch)
  return {
    nonces_per_minute: rate,
    nonces_per_stage: Math.trunc(nonces),
    weight,
    total_weight: totalWeight,
    share: weight / totalWeight,
    epoch,
    epoch_reward_ngonka: reward,
    reward_ngonka: (reward * BigInt(weight)) / BigInt(totalWeight),
    assumptions: [
      options.rate === undefined ? 'rate: the last minute of this node' : 'rate: as given',
      `nonces per stage = rate x ${effectiveMinutes} effective minutes of 3.16`,
      options.coefficient === undefined
        ? 'weight = nonces x 1: give the weight_scale_factor of your model with --coefficient'
        : `weight = nonces x ${coefficient}`,
      'reward = weight / total weight x epoch reward; epoch reward = 323000 GNK x exp(-0.000475 x (epoch - 1))',
      'no cap, penalty or missing collateral is taken off; the total weight is taken as it is without you',
    ],
  }
}

function print(io: Io, node: Node, estimate: ReturnType<typeof estimateOf> | null): void {
  const line = (name: string, value: string) => io.out.write(`${name.padEnd(22)}${value}\n`)
  line('node', `gonka-miner ${node.version}, ${node.engines.join(', ')}`)
  line('state', `${node.state}, ${node.model ?? 'no model'}, PoC ${node.poc_status ?? 'off'}`)
  line('rate', `${node.nonces_per_minute} nonces/min`)
  line('computed', String(node.nonces_computed))
  line('acknowledged', String(node.acknowledged))
  line('waiting / dropped', `${node.artifacts_waiting} / ${node.dropped}`)
  line('validation queue', `${node.validation_nonces_queued} nonces`)
  line('energy', node.joules_per_nonce === null ? 'not measured' : `${node.joules_per_nonce.toFixed(2)} J/nonce`)
  line('disk', node.store.degraded ? `REFUSES WRITES: ${node.store.error}` : 'ok')
  for (const stage of node.stages.slice(0, 3)) {
    const what = stage.closed ?? (stage.generating ? 'generating' : 'stopped')
    const counts = `${stage.generated} generated, ${stage.acknowledged} acknowledged, ${stage.waiting} waiting, ${stage.dropped} dropped`
    line(`stage ${stage.height}`, `${stage.kind} ${what}: ${counts}`)
  }
  if (estimate === null) {
    line('reward', 'not estimated: give --seed, or --epoch and --total-weight')
    return
  }
  line('weight', `${estimate.weight} of ${estimate.total_weight} (${(100 * estimate.share).toFixed(3)} %)`)
  line(
    'reward per epoch',
    `about ${formatGnk(estimate.reward_ngonka)} GNK of ${formatGnk(estimate.epoch_reward_ngonka)} (epoch ${estimate.epoch})`,
  )
  for (const assumption of estimate.assumptions) line('', assumption)
}
