// One simulated host: its network node, which drives ML nodes, takes their callbacks, commits, proves, validates and votes.

import { messageOf } from '../errors.ts'
import { type Broker, brokerV1, brokerV2, type Scheme, type SchemeV1 } from './broker.ts'
import { createCallbacks, type HostStageReport, type RouteAnswer } from './callbacks.ts'
import type { Account, SimChain, Stage } from './chain.ts'
import type { FaultCounts, Faults, HostFault } from './faults.ts'
import { startHostServer } from './host-server.ts'
import type { MlNode } from './ml-node.ts'
import { answerProofs } from './proof-service.ts'
import { createTransactions } from './transactions.ts'
import { createValidator } from './validator.ts'

export interface NetworkNode {
  readonly name: string
  readonly account: Account
  readonly fault: HostFault
  readonly url: string
  readonly nodes: readonly MlNode[]
  /** By stage height. */
  readonly reports: ReadonlyMap<number, HostStageReport>
  /** Why this host voted as it did, newest last. */
  readonly reasons: readonly string[]
  /** Brings the model up at every ML node; a network node does so long before a stage. */
  prepare(signal: AbortSignal): Promise<void>
  /** Nonces and distances of a PoC v1 stage: public, as on chain. */
  v1Batches(height: number): ReadonlyMap<number, number>
  /** Resolves when what the last block asked of this host is done. */
  caughtUp(): Promise<void>
  /** Resolves when no validation is under way. */
  validated(): Promise<void>
  close(): Promise<void>
}

export interface HostParts {
  readonly name: string
  readonly chain: SimChain
  readonly privateKey: Uint8Array
  readonly account: Account
  readonly scheme: Scheme
  readonly nodes: readonly MlNode[]
  readonly fault: HostFault
  readonly faults: Faults
  readonly counts: FaultCounts
  readonly random: () => number
  readonly sampleSize: number
  readonly commitEveryBlocks: number
  readonly hosts: () => readonly NetworkNode[]
  readonly onTrouble: (host: string, what: string) => void
  /** A host took a batch of artifacts. */
  readonly onTaken: (host: string, artifacts: number) => void
}

const skewMs = 360_000

/** The ML node of a v1 host runs what it is asked to: half of the width is what a host saves work with. (Fewer layers would go
 *  unnoticed here: at so small a width they hardly move a distance.) */
function halved(scheme: SchemeV1): SchemeV1 {
  return { ...scheme, params: { ...scheme.params, dim: scheme.params.dim / 2 } }
}

export async function startNetworkNode(parts: HostParts): Promise<NetworkNode> {
  const { chain, account, privateKey, scheme, nodes, fault, faults, counts, random } = parts
  const broker: Broker =
    scheme.kind === 'v2' ? brokerV2(scheme) : brokerV1(fault === 'wrong-model' ? halved(scheme) : scheme)
  const ending = new AbortController()
  const now = () => Date.now() + (fault === 'skewed' ? skewMs : 0)
  const trouble = (what: string) => {
    if (!ending.signal.aborted) parts.onTrouble(parts.name, what)
  }

  const callbacks = createCallbacks({
    ...{ chain, scheme, fault },
    nodeCount: nodes.length,
    onTaken: (artifacts) => parts.onTaken(parts.name, artifacts),
    onVerdict: (...verdict) => validator.onVerdict(...verdict),
  })
  const transactions = createTransactions({
    ...{ chain, account, privateKey, scheme, callbacks },
    nodeCount: nodes.length,
    onTrouble: trouble,
  })
  const proofs = {
    ...{ account, privateKey, now },
    modelId: chain.modelId,
    store: callbacks.storeIfAny,
    accountOf: (address: string) => chain.accounts().find((a) => a.address === address),
  }

  const route = (path: string, body: Record<string, unknown>): RouteAnswer => {
    if (path === '/v1/poc/proofs' || path === '/v1/poc/proofs/by-nonce') {
      return answerProofs(proofs, body, path.endsWith('by-nonce'))
    }
    const v2 = /^\/v2\/poc-batches\/([^/]+)\/(generated|validated)$/.exec(path)
    const v1 = /^\/v1\/poc-batches\/(generated|validated)$/.exec(path)
    if (v2 !== null && decodeURIComponent(decodeURIComponent(v2[1] as string)) !== chain.modelId) {
      return { status: 400, body: { error: 'invalid model_id' } }
    }
    const action = v2?.[2] ?? v1?.[1]
    if (action === 'generated' || action === 'validated') return callbacks.take(action, body)
    return { status: 404, body: { error: 'no such route' } }
  }
  const server = await startHostServer({ route, faults, counts, random, windowMs: chain.secondMs, onTrouble: trouble })
  const { url } = server

  const stageCall = (stage: Stage, nodeIndex: number, validating: boolean) => ({
    stage,
    publicKeyHex: account.publicKeyHex,
    nodeId: nodeIndex + 1,
    // Validation counts the nodes of the model, generation the highest number plus one.
    nodeCount: validating && scheme.kind === 'v2' ? nodes.length : nodes.length + 1,
    callbackUrl: url,
  })
  const validator = createValidator({
    ...{ chain, account, privateKey, scheme, broker, nodes, now, stageCall },
    sampleSize: parts.sampleSize,
    hosts: parts.hosts,
    submit: transactions.submit,
    onTrouble: trouble,
  })

  let driving: Promise<void> | undefined
  let validation: Promise<void> = Promise.resolve()
  let stageTasks: { height: number; validating: boolean; stopped: boolean; end: AbortController } | undefined
  let idleAfter = -1

  // Commits do not wait for ML nodes: the window closes whatever those are doing.
  let committing: Promise<void> = Promise.resolve()
  const distributed = new Set<number>()
  const record = (height: number) => {
    const stage = chain.stage()
    if (stage === undefined) return
    const { heights } = stage
    if (height > heights.start && height <= heights.exchangeEnd) {
      const last = height === heights.exchangeEnd
      if (!last && (height - heights.start) % parts.commitEveryBlocks !== 0) return
      committing = committing
        .then(() => transactions.commit(stage))
        .catch((error: unknown) => trouble(`commit: ${messageOf(error)}`))
    } else if (height > heights.exchangeEnd && !distributed.has(stage.height)) {
      distributed.add(stage.height)
      committing = committing
        .then(() => transactions.distribute(stage))
        .catch((error: unknown) => trouble(`distribution: ${messageOf(error)}`))
    }
  }

  const drive = async (height: number) => {
    const stage = chain.stage()
    const { signal } = ending
    if (stage === undefined) {
      if (height - idleAfter < 5) return
      idleAfter = height
      for (const node of nodes) {
        await broker.prepare(node.url, signal)
        if (await broker.isGenerating(node.url, signal)) await broker.stop(node.url, signal)
      }
      return
    }
    if (stageTasks?.height !== stage.height) {
      stageTasks?.end.abort()
      stageTasks = { height: stage.height, validating: false, stopped: false, end: new AbortController() }
      callbacks.report(stage.height)
    }
    const tasks = stageTasks
    const { heights } = stage
    const phase = chain.phase()
    if (phase === 'PoCGenerate') {
      await Promise.all(
        nodes.map(async (node, i) => {
          await broker.prepare(node.url, signal)
          if (await broker.isGenerating(node.url, signal)) return
          await broker.generate(node.url, stageCall(stage, i, false), signal)
        }),
      )
    }
    if (height >= heights.validationStart && !tasks.stopped) {
      await Promise.all(nodes.map((node) => broker.stop(node.url, signal)))
      tasks.stopped = true
    }
    if (tasks.stopped && !tasks.validating && height < heights.validationEnd) {
      tasks.validating = true
      // Two blocks are left to get the votes in.
      const until = AbortSignal.any([ending.signal, tasks.end.signal, deadline(heights.validationEnd - 2)])
      validation = validator
        .validate(stage, until)
        .catch((error: unknown) => trouble(`validation: ${messageOf(error)}`))
    }
  }

  const waiting: { at: number; abort: AbortController }[] = []
  const deadline = (height: number): AbortSignal => {
    const abort = new AbortController()
    waiting.push({ at: height, abort })
    return abort.signal
  }

  chain.onBlock((height) => {
    for (const entry of waiting) if (height >= entry.at) entry.abort.abort()
    if (ending.signal.aborted) return
    record(height)
    driving ??= drive(height)
      .catch((error: unknown) => trouble(messageOf(error)))
      .finally(() => {
        driving = undefined
      })
  })

  return {
    name: parts.name,
    ...{ account, fault, url, nodes },
    reports: callbacks.reports,
    reasons: validator.reasons,
    prepare: async (signal) => void (await Promise.all(nodes.map((node) => broker.prepare(node.url, signal)))),
    v1Batches: callbacks.v1Batches,
    async caughtUp() {
      await driving
      await committing
    },
    validated: () => validation,
    async close() {
      ending.abort()
      await server.close()
    },
  }
}
