// Settlement of each epoch, and the report with its checks.

import type { SimChain, Stage } from './chain.ts'
import { verdictOn } from './chain.ts'
import type { FaultCounts } from './faults.ts'
import type { NetworkNode } from './network-node.ts'
import type { SimOptions } from './run.ts'
import { confirmedWeight, epochReward, mainnetRewards, participantWeight, rewardsOf } from './weights.ts'

export interface StageLine {
  readonly height: number
  readonly kind: Stage['kind']
  readonly host: string
  readonly received: number
  readonly duplicates: number
  readonly committed: number
  /** Artifacts first offered after the window. */
  readonly late: number
  readonly refused: Readonly<Record<string, number>>
  readonly validPower: number
  readonly invalidPower: number
  readonly totalPower: number
  readonly outcome: 'accepted' | 'rejected' | 'absent'
  readonly weight: number
}

export interface EpochLine {
  readonly epoch: number
  readonly host: string
  readonly fault: string
  readonly weight: number
  readonly confirmed: number
  readonly rewardNgonka: bigint
}

export interface NodeLine {
  readonly host: string
  readonly url: string
  readonly restarts: number
  /** Null for nodes that do not report it. */
  readonly generated: number | null
  readonly acknowledged: number | null
  readonly waiting: number | null
  readonly dropped: number | null
  readonly redelivered: number | null
  /** What it counted per stage height; null likewise. */
  readonly stages: readonly NodeStage[] | null
}

export interface NodeStage {
  readonly height: number
  readonly generated: number
  readonly acknowledged: number
  readonly dropped: number
  readonly waiting: number
}

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

export interface SimReport {
  readonly seed: number
  readonly scheme: string
  readonly blockMs: number
  /** Mean over the run: more than blockMs where the machine did not keep up. */
  readonly meanBlockMs: number
  readonly params: SimOptions['params']
  readonly faults: FaultCounts
  readonly stages: readonly StageLine[]
  readonly epochs: readonly EpochLine[]
  readonly nodes: readonly NodeLine[]
  readonly checks: readonly Check[]
  readonly votesAgainst: readonly string[]
  readonly troubles: readonly string[]
}

interface Settlement {
  readonly stage: Stage
  readonly lines: readonly StageLine[]
}

function stageLines(
  stage: Stage,
  hosts: readonly NetworkNode[],
  power: ReadonlyMap<string, number>,
  options: SimOptions,
) {
  return hosts.map((host): StageLine => {
    const { address } = host.account
    const commit = stage.commits.get(address)
    const report = host.reports.get(stage.height)
    const verdict = verdictOn(stage, address, power, options.thresholdBps)
    const accepted = commit !== undefined && verdict.outcome === 'accepted'
    return {
      height: stage.height,
      kind: stage.kind,
      host: host.name,
      received: report?.received ?? 0,
      duplicates: report?.duplicates ?? 0,
      committed: commit?.count ?? 0,
      late: report?.late.size ?? 0,
      refused: report?.refused ?? {},
      validPower: verdict.validPower,
      invalidPower: verdict.invalidPower,
      totalPower: verdict.totalPower,
      outcome: commit === undefined ? 'absent' : verdict.outcome,
      weight: accepted
        ? participantWeight([{ weightScaleFactor: options.weightScaleFactor, pocWeight: commit.count }])
        : 0,
    }
  })
}

/** Counts votes when a stage's validation ends; regular stages set the power of the next votes. */
export function settle(
  chain: SimChain,
  hosts: readonly NetworkNode[],
  options: SimOptions,
): () => readonly Settlement[] {
  const done: Settlement[] = []
  chain.onBlock((height) => {
    for (const stage of chain.stages()) {
      if (height < stage.heights.validationEnd || done.some((s) => s.stage === stage)) continue
      const lines = stageLines(stage, hosts, chain.power(), options)
      done.push({ stage, lines })
      const weights = new Map(hosts.map((host, i) => [host.account.address, lines[i]?.weight ?? 0] as const))
      // With nobody accepted the network keeps the power it had: it could never vote again otherwise.
      if (stage.kind === 'regular' && [...weights.values()].some((w) => w > 0)) chain.setPower(weights)
    }
  })
  return () => done
}

async function nodeLine(host: NetworkNode, index: number): Promise<NodeLine> {
  const node = host.nodes[index]
  const url = node?.url ?? ''
  const unknown = { generated: null, acknowledged: null, waiting: null, dropped: null, redelivered: null, stages: null }
  const base = { host: host.name, url, restarts: node?.restarts ?? 0 }
  try {
    const answer = await fetch(`${url}/dashboard/data.json`, { signal: AbortSignal.timeout(5000) })
    const data = (await answer.json()) as { stages: (NodeStage & { readonly redelivered: number })[] }
    const sum = (key: keyof NodeStage | 'redelivered') => data.stages.reduce((total, stage) => total + stage[key], 0)
    return {
      ...base,
      generated: sum('generated'),
      acknowledged: sum('acknowledged'),
      waiting: sum('waiting'),
      dropped: sum('dropped'),
      redelivered: sum('redelivered'),
      stages: data.stages.map(({ height, generated, acknowledged, dropped, waiting }) => {
        return { height, generated, acknowledged, dropped, waiting }
      }),
    }
  } catch {
    return { ...base, ...unknown }
  }
}

function epochLines(settlements: readonly Settlement[], hosts: readonly NetworkNode[]): EpochLine[] {
  const out: EpochLine[] = []
  for (const regular of settlements.filter((s) => s.stage.kind === 'regular')) {
    const { epoch } = regular.stage
    const confirmation = settlements.find((s) => s.stage.kind === 'confirmation' && s.stage.epoch === epoch)
    const shares = hosts.map((_, i) => {
      const weight = regular.lines[i]?.weight ?? 0
      return { weight, effective: confirmedWeight(weight, 0, confirmation?.lines[i]?.weight) }
    })
    const rewards = rewardsOf(shares, epochReward(epoch, mainnetRewards))
    hosts.forEach((host, i) => {
      out.push({
        epoch,
        host: host.name,
        fault: host.fault,
        weight: shares[i]?.weight ?? 0,
        confirmed: shares[i]?.effective ?? 0,
        rewardNgonka: rewards[i] ?? 0n,
      })
    })
  }
  return out
}

export async function buildReport(parts: {
  readonly options: SimOptions
  readonly chain: SimChain
  readonly hosts: readonly NetworkNode[]
  readonly counts: FaultCounts
  readonly troubles: readonly string[]
  readonly settlements: readonly Settlement[]
}): Promise<SimReport> {
  const { options, hosts, counts, settlements } = parts
  const stages = settlements.flatMap((s) => s.lines)
  const epochs = epochLines(settlements, hosts)
  const nodes = await Promise.all(hosts.flatMap((host) => host.nodes.map((_, i) => nodeLine(host, i))))
  return {
    seed: options.seed,
    scheme: options.scheme.kind,
    blockMs: options.blockMs,
    meanBlockMs: Math.round(parts.chain.meanBlockMs()),
    params: options.params,
    faults: counts,
    stages,
    epochs,
    nodes,
    checks: checksOf(options, hosts, stages, epochs, nodes, counts, settlements),
    votesAgainst: hosts.flatMap((host) => host.reasons.map((reason) => `${host.name} ${reason}`)),
    troubles: parts.troubles,
  }
}

/** What the ML nodes of a host count for a stage beside what the host saw of it. */
interface Ledger {
  readonly at: string
  readonly generated: number
  readonly acknowledged: number
  /** Dropped by the nodes, or still waiting there. */
  readonly unacknowledged: number
  readonly offered: number
  readonly late: number
  /** Different artifacts the host took; a forger's own additions count too. */
  readonly stored: number
}

function ledgersOf(hosts: readonly NetworkNode[], nodes: readonly NodeLine[]): Ledger[] {
  return hosts.flatMap((host) => {
    const own = nodes.filter((node) => node.host === host.name)
    // A node of another maker keeps no books to compare with.
    if (own.some((node) => node.stages === null)) return []
    return [...host.reports].map(([height, report]): Ledger => {
      const counted = own.flatMap((node) => node.stages ?? []).filter((stage) => stage.height === height)
      const sum = (key: keyof NodeStage) => counted.reduce((total, stage) => total + stage[key], 0)
      return {
        at: `${host.name} at ${height}`,
        generated: sum('generated'),
        acknowledged: sum('acknowledged'),
        unacknowledged: sum('dropped') + sum('waiting'),
        offered: report.offered.size,
        late: report.late.size,
        stored: report.received - report.duplicates,
      }
    })
  })
}

function checksOf(
  options: SimOptions,
  hosts: readonly NetworkNode[],
  stages: readonly StageLine[],
  epochs: readonly EpochLine[],
  nodes: readonly NodeLine[],
  counts: FaultCounts,
  settlements: readonly Settlement[],
): Check[] {
  const kindOf = new Map(hosts.map((host) => [host.name, host.fault]))
  const liars = stages.filter((s) => kindOf.get(s.host) === 'forger' || kindOf.get(s.host) === 'wrong-model')
  const honest = stages.filter((s) => !liars.includes(s))
  const regular = settlements.filter((s) => s.stage.kind === 'regular').length
  const check = (name: string, bad: readonly string[], good: string): Check => ({
    name,
    ok: bad.length === 0,
    detail: bad.length === 0 ? good : bad.slice(0, 5).join('; '),
  })
  const ledgers = ledgersOf(hosts, nodes)
  const sumOf = (list: readonly Ledger[], key: Exclude<keyof Ledger, 'at'>) => list.reduce((sum, l) => sum + l[key], 0)
  const out = [
    check(
      'every epoch had its stage',
      regular === options.epochs ? [] : [`${regular} regular stages in ${options.epochs} epochs`],
      `${regular} regular stages, ${settlements.length - regular} confirmations`,
    ),
    check(
      'honest hosts are accepted with full weight',
      honest
        .filter((s) => s.outcome !== 'accepted' || s.weight !== Math.trunc(options.weightScaleFactor * s.committed))
        .map((s) => `${s.host} at ${s.height}: ${s.outcome}, weight ${s.weight} of ${s.committed}`),
      `${honest.length} of ${honest.length} results`,
    ),
    check(
      'everything a host received is committed',
      honest
        .filter((s) => s.received - s.duplicates !== s.committed)
        .map((s) => `${s.host} at ${s.height}: ${s.received - s.duplicates} received, ${s.committed} committed`),
      `${honest.reduce((sum, s) => sum + s.committed, 0)} artifacts`,
    ),
    check(
      'every artifact generated was offered to the host',
      ledgers
        .filter((l) => l.offered !== l.generated)
        .map((l) => `${l.at}: ${l.generated} generated, ${l.offered} offered`),
      `${sumOf(ledgers, 'offered')} of ${sumOf(ledgers, 'generated')}`,
    ),
    check(
      'every artifact a node offered in time is acknowledged',
      ledgers
        .filter((l) => l.generated !== l.acknowledged + l.unacknowledged || l.unacknowledged > l.late)
        .map((l) => `${l.at}: ${l.generated} generated, ${l.acknowledged} acknowledged, ${l.late} came late`),
      `${sumOf(ledgers, 'acknowledged')} of ${sumOf(ledgers, 'generated')}; ${sumOf(ledgers, 'unacknowledged')} came after the window`,
    ),
    check(
      'every artifact acknowledged is stored at the host',
      ledgers
        .filter((l) => l.acknowledged > l.stored)
        .map((l) => `${l.at}: ${l.acknowledged} of them, ${l.stored} stored`),
      `${sumOf(ledgers, 'acknowledged')} artifacts`,
    ),
    check(
      'rewards do not exceed the epoch reward',
      [...new Set(epochs.map((e) => e.epoch))]
        .filter((n) => epochs.filter((e) => e.epoch === n).reduce((s, e) => s + e.rewardNgonka, 0n) > epochReward(n))
        .map((n) => `epoch ${n}`),
      'held in every epoch',
    ),
  ]
  if (liars.length > 0) {
    out.push(
      check(
        'forgers and wrong models are voted out',
        liars.filter((s) => s.outcome === 'accepted').map((s) => `${s.host} at ${s.height} was accepted`),
        `${liars.length} of ${liars.length} results`,
      ),
    )
  }
  if (counts.duplicates === 0) {
    const again = (host: string) =>
      nodes.filter((n) => n.host === host).reduce((sum, n) => sum + (n.redelivered ?? 0), 0)
    // A forger's own additions come twice with every batch that is repeated.
    const told = hosts.filter((host) => host.fault !== 'forger')
    const twice = told.map((host) => {
      const duplicates = stages.filter((s) => s.host === host.name).reduce((sum, s) => sum + s.duplicates, 0)
      return { host: host.name, duplicates, again: again(host.name) }
    })
    // An answer that came after the node's patience makes it repeat the batch; more than it repeated came twice as new.
    out.push(
      check(
        'nothing was delivered twice as new',
        twice.filter((h) => h.duplicates > h.again).map((h) => `${h.host}: ${h.duplicates} twice, ${h.again} repeated`),
        `${twice.reduce((sum, h) => sum + h.duplicates, 0)} came again in repeated batches`,
      ),
    )
  }
  return out
}
