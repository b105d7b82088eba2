// Runs a simulated network for some epochs and reports what became of every host.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { publicKeyOf, randomPrivateKey } from '../chain/keys.ts'
import { GonkaError } from '../errors.ts'
import type { Scheme } from './broker.ts'
import { createChain, type SimChain } from './chain.ts'
import { type FaultCounts, type Faults, type HostFault, seededRandom } from './faults.ts'
import { foreignNode, type MlNode, startMlNode } from './ml-node.ts'
import { type NetworkNode, startNetworkNode } from './network-node.ts'
import { buildReport, type SimReport, settle } from './report.ts'
import type { EpochParams } from './schedule.ts'

export interface SimOptions {
  /** What each host is; at least one. */
  readonly hosts: readonly HostFault[]
  readonly nodesPerHost: number
  /** ML nodes of other makers, given to the first hosts, one each. */
  readonly nodeUrls: readonly string[]
  readonly epochs: number
  readonly blockMs: number
  readonly params: EpochParams
  readonly scheme: Scheme
  readonly faults: Faults
  readonly seed: number
  readonly sampleSize: number
  readonly confirmations: boolean
  readonly thresholdBps: number
  readonly weightScaleFactor: number
  /** v2 with model files: the network's model, and what a wrong-model host runs instead. Absent: embedding nodes. */
  readonly modelDirectories?: { readonly right: string; readonly wrong: string }
  /** Nonces per second of an embedding node; slow hosts get a tenth. */
  readonly rateLimit: number
}

export interface SimIo {
  readonly signal: AbortSignal
  readonly progress: (line: string) => void
}

/** Generation ends this many blocks before the window closes, so that the last batch still arrives in time. */
const marginBlocks = 10

function nodeFlags(options: SimOptions, fault: HostFault): string[] {
  const { blockMs, params, scheme } = options
  const windowS = (params.pocStageDuration * blockMs) / 1000
  const limitS = ((params.pocStageDuration - marginBlocks) * blockMs) / 1000
  const flags = [
    // A flush to disk takes as long as on the public network, a block a fiftieth. Without, kill -9 still loses nothing.
    ['--data-sync', 'off'],
    // Blocks get longer on a busy machine: the chain says when the window closes, not the node's clock.
    ['--poc-stage-deadline-s', String(10 * windowS + 60)],
    ['--poc-generation-limit-s', String(limitS)],
    ['--callbacks-interval-ms', String(Math.max(20, Math.min(1000, blockMs)))],
    ['--callbacks-backoff-ms', String(Math.max(20, Math.min(500, blockMs / 2)))],
    ['--callbacks-max-backoff-ms', String(Math.max(100, Math.min(10_000, blockMs * 5)))],
    ['--callbacks-timeout-ms', String(Math.max(1000, blockMs * 20))],
  ]
  const { modelDirectories } = options
  if (scheme.kind === 'v1') flags.push(['--engine-kind', 'v1'])
  else if (modelDirectories !== undefined) {
    const directory = fault === 'wrong-model' ? modelDirectories.wrong : modelDirectories.right
    flags.push(['--engine-kind', 'v2'], ['--engine-models', scheme.modelId], ['--engine-model-dir', directory])
  } else {
    const rate = fault === 'slow' ? options.rateLimit / 10 : options.rateLimit
    flags.push(
      ['--engine-kind', 'embedding'],
      ['--engine-models', scheme.modelId],
      ['--engine-rate-limit', String(rate)],
    )
    // Another width is another model under the same name: the artifacts are well-formed and wrong.
    if (fault === 'wrong-model') flags.push(['--engine-embedding-dim', '96'])
  }
  return flags.flat()
}

/** Runs to the end of the last epoch. Rejects with ERR_GK_CANCELLED if interrupted. */
export async function runSimulation(options: SimOptions, io: SimIo): Promise<SimReport> {
  if (options.params.epochLength <= options.params.pocStageDuration + options.params.pocValidationDuration) {
    throw new GonkaError('ERR_GK_INVALID_ARGUMENT', 'epoch length must exceed generation plus validation')
  }
  const random = seededRandom(options.seed)
  const chain: SimChain = createChain({
    params: options.params,
    blockMs: options.blockMs,
    modelId: options.scheme.modelId,
    seed: String(options.seed),
    confirmations: options.confirmations,
    thresholdBps: options.thresholdBps,
    pace: (height) => keepUp(height, chain, hosts, mlNodes, options.blockMs),
  })
  const counts: FaultCounts = { storms: 0, cuts: 0, drops: 0, duplicates: 0, restarts: 0 }
  const folder = mkdtempSync(join(tmpdir(), 'gonka-simulate-'))
  const mlNodes: MlNode[] = []
  const hosts: NetworkNode[] = []
  const troubles: string[] = []
  const began = performance.now()
  let firstTaken = false
  try {
    for (const [h, fault] of options.hosts.entries()) {
      const own: MlNode[] = []
      for (let n = 0; n < options.nodesPerHost; n++) {
        const url = n === 0 ? options.nodeUrls[h] : undefined
        const node =
          url === undefined
            ? await startMlNode(nodeFlags(options, fault), join(folder, `host${h + 1}-node${n + 1}`))
            : foreignNode(url)
        own.push(node)
        mlNodes.push(node)
      }
      const privateKey = randomPrivateKey()
      const account = chain.register(publicKeyOf(privateKey))
      hosts.push(
        await startNetworkNode({
          name: `host${h + 1}`,
          chain,
          privateKey,
          account,
          scheme: options.scheme,
          nodes: own,
          fault,
          faults: options.faults,
          counts,
          random,
          sampleSize: options.sampleSize,
          commitEveryBlocks: Math.max(1, Math.round(5000 / 5410)),
          hosts: () => hosts,
          onTaken(host, artifacts) {
            if (firstTaken) return
            firstTaken = true
            const seconds = ((performance.now() - began) / 1000).toFixed(1)
            io.progress(`${host} took the first ${artifacts} artifacts, ${seconds} s after the start`)
          },
          onTrouble(host, what) {
            troubles.push(`height ${chain.height()} ${host}: ${what}`)
            if (troubles.length > 500) troubles.shift()
          },
        }),
      )
      io.progress(`${hosts.at(-1)?.name} ${fault}: ${account.address}, ML nodes ${own.map((n) => n.url).join(', ')}`)
    }
    await Promise.all(hosts.map((host) => host.prepare(io.signal)))
    io.progress('every ML node is ready')
    const settlements = settle(chain, hosts, options)
    announce(chain, io.progress)
    const crashing = crashNodes(mlNodes, options.faults.restartEvery, random, counts, io.signal)
    chain.start()
    // One block before the next epoch's stage would begin.
    const last = 2 + options.epochs * options.params.epochLength
    await chain.reached(last, io.signal)
    chain.stop()
    crashing.stop()
    await crashing.done
    if (io.signal.aborted) throw new GonkaError('ERR_GK_CANCELLED', 'cancelled')
    return await buildReport({ options, chain, hosts, counts, troubles, settlements: settlements() })
  } catch (error) {
    if (io.signal.aborted) throw new GonkaError('ERR_GK_CANCELLED', 'cancelled', { cause: error })
    throw error
  } finally {
    chain.stop()
    await Promise.allSettled(hosts.map((host) => host.close()))
    await Promise.allSettled(mlNodes.map((node) => node.close()))
    rmSync(folder, { recursive: true, force: true })
  }
}

/** How long a stage's second block waits for first artifacts, and its last for artifacts on their way. Starting, storing and
 *  sending take the machine's time, which blocks a fiftieth as long as the public network's do not shorten. */
const stageEdgeMs = 30_000

/** Waits for whoever is behind: every host has done what the last block asked of it, every ML node has answered once,
 *  every host has artifacts of a stage that has begun, and every ML node has delivered before the window closes. Nobody is
 *  waited for without end; what is dead or slower than 20 blocks misses its turn as on any network. */
async function keepUp(
  height: number,
  chain: SimChain,
  hosts: readonly NetworkNode[],
  mlNodes: readonly MlNode[],
  blockMs: number,
): Promise<void> {
  const stage = chain.stage()
  const begins = stage !== undefined && height === stage.heights.start + 1
  const closes = stage !== undefined && height === stage.heights.exchangeEnd - 1
  const waitMs = Math.max(begins || closes ? stageEdgeMs : 2000, 20 * blockMs)
  const limit = new AbortController()
  const over = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, waitMs)
    limit.signal.addEventListener('abort', () => clearTimeout(timer))
  })
  const all = [...hosts.map((host) => host.caughtUp()), ...mlNodes.map((node) => node.pulse(waitMs))]
  // Verdicts are due two blocks before the end of validation.
  if (height === (stage?.heights.validationEnd ?? 0) - 3) all.push(...hosts.map((host) => host.validated()))
  const empty = (host: NetworkNode) => (host.reports.get(stage?.height ?? 0)?.offered.size ?? 0) === 0
  const begun = async () => {
    while (hosts.some(empty) && !limit.signal.aborted) await sleep(20)
  }
  if (begins) all.push(begun())
  // Generation has ended by now; on a busy machine what it made may still be backing off after a refusal.
  const delivered = async (node: MlNode) => {
    while (((await node.waiting()) ?? 0) > 0 && !limit.signal.aborted) await sleep(20)
  }
  if (closes) all.push(...mlNodes.map(delivered))
  await Promise.race([Promise.allSettled(all), over])
  limit.abort()
}

function announce(chain: SimChain, progress: (line: string) => void): void {
  let phase = ''
  chain.onBlock((height) => {
    const stage = chain.stage()
    const now = stage === undefined ? 'Inference' : `${stage.kind} ${chain.phase()}`
    if (now !== phase) {
      phase = now
      const epoch = chain.stages().at(-1)?.epoch ?? 0
      progress(`height ${height}, epoch ${epoch}: ${now}`)
    }
  })
}

function crashNodes(
  nodes: readonly MlNode[],
  everySeconds: number,
  random: () => number,
  counts: FaultCounts,
  signal: AbortSignal,
): { stop(): void; done: Promise<void> } {
  const ending = new AbortController()
  const run = async () => {
    while (everySeconds > 0 && !ending.signal.aborted && !signal.aborted) {
      await sleep(everySeconds * 1000 * (0.5 + random()), undefined, { signal: ending.signal }).catch(() => undefined)
      if (ending.signal.aborted || signal.aborted) return
      counts.restarts++
      await nodes[Math.floor(random() * nodes.length)]?.crash()
    }
  }
  return { stop: () => ending.abort(), done: run() }
}
