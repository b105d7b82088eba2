// One simulated host: its network node, which drives ML nodes, takes their callbacks, commits, proves, validates and votes.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { sign } from '../chain/keys.ts'
import { type Any, packAny } from '../chain/messages.ts'
import { buildTx, estimateGas, signTx } from '../chain/tx.ts'
import { messageOf } from '../errors.ts'
import { decodeBase64 } from '../protocol/artifact-vector.ts'
import { sampleLeafIndices, sampleNonceIndicesV1 } from '../protocol/sampling.ts'
import { type ArtifactStore, createArtifactStore, forgedVector } from './artifact-store.ts'
import { type Broker, brokerV1, brokerV2, type Claims, type Scheme } from './broker.ts'
import type { Account, SimChain, Stage } from './chain.ts'
import { proofProblem } from './check-proofs.ts'
import type { FaultCounts, Faults, HostFault } from './faults.ts'
import type { MlNode } from './ml-node.ts'
import { answerProofs, requestProofs } from './proof-service.ts'

export interface HostStageReport {
  received: number
  duplicates: number
  refused: Record<string, number>
  batches: number
  /** Nonces that were first offered when the window had closed: honest work that came too late. */
  readonly late: Set<number>
}

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
}

const skewMs = 360_000

export async function startNetworkNode(parts: HostParts): Promise<NetworkNode> {
  const { chain, account, scheme, nodes, fault, faults, counts, random } = parts
  const broker: Broker = scheme.kind === 'v2' ? brokerV2(scheme) : brokerV1(scheme)
  const ending = new AbortController()
  const stores = new Map<number, ArtifactStore>()
  const v1Stores = new Map<number, Map<number, number>>()
  const reports = new Map<number, HostStageReport>()
  const reasons: string[] = []
  const verdicts = new Map<string, (weight: bigint) => void>()
  const now = () => Date.now() + (fault === 'skewed' ? skewMs : 0)
  const trouble = (what: string) => {
    if (!ending.signal.aborted) parts.onTrouble(parts.name, what)
  }

  const storeOf = (height: number) => {
    let store = stores.get(height)
    if (store === undefined) {
      store = createArtifactStore()
      stores.set(height, store)
    }
    return store
  }
  const reportOf = (height: number) => {
    let report = reports.get(height)
    if (report === undefined) {
      report = { received: 0, duplicates: 0, refused: {}, batches: 0, late: new Set() }
      reports.set(height, report)
    }
    return report
  }

  // ---- callbacks ----

  const refused = (height: number, status: number, error: string) => {
    const report = reportOf(height)
    const key = `${status} ${error}`
    report.refused[key] = (report.refused[key] ?? 0) + 1
    return { status, body: { error } }
  }

  const windowProblem = (height: number): { status: number; error: string } | undefined => {
    const last = chain.stages().at(-1)
    if (last === undefined || last.height !== height) {
      return { status: 400, error: 'block_height is not the active PoC stage' }
    }
    const at = chain.height()
    // What came after the last commit could not be committed any more.
    return at < last.heights.start || at >= last.heights.exchangeEnd
      ? { status: 503, error: 'not in PoC generate phase' }
      : undefined
  }

  const takeGenerated = (body: Record<string, unknown>) => {
    const height = Number(body.block_height)
    const problem = windowProblem(height)
    if (problem !== undefined) {
      const nonces = (body.nonces ?? (body.artifacts as { nonce: number }[]).map((a) => a.nonce)) as number[]
      for (const nonce of nonces) reportOf(height).late.add(nonce)
      return refused(height, problem.status, problem.error)
    }
    if (!nodes.some((_, i) => i + 1 === body.node_id)) return refused(height, 400, 'unknown node_num')
    const report = reportOf(height)
    report.batches++
    if (scheme.kind === 'v1') {
      const { nonces, dist } = body as { nonces: number[]; dist: number[] }
      let known = v1Stores.get(height)
      if (known === undefined) {
        known = new Map()
        v1Stores.set(height, known)
      }
      nonces.forEach((nonce, i) => {
        report.received++
        if (known.has(nonce)) report.duplicates++
        else known.set(nonce, dist[i] as number)
        // A distance below the target that nobody found, for a nonce of number 0, which no node has.
        if (fault === 'forger') known.set(nonce - Number(body.node_id), scheme.rTarget * 0.5)
      })
      return { status: 200, body: undefined }
    }
    const artifacts: { nonce: number; vector: Uint8Array }[] = []
    for (const { nonce, vector_b64 } of body.artifacts as { nonce: number; vector_b64: string }[]) {
      const vector = decodeBase64(vector_b64)
      if (vector === undefined) return refused(height, 400, 'invalid base64 in artifact vector')
      if (vector.length === 0) return refused(height, 400, 'empty artifact vector')
      // A forger claims twice the work: its own artifacts, and as many that nobody computed.
      artifacts.push({ nonce, vector })
      // They take the nonces of number 0, which no node has, so nothing but recomputation betrays them.
      if (fault === 'forger') artifacts.push({ nonce: nonce - Number(body.node_id), vector: forgedVector(nonce) })
    }
    const added = storeOf(height).add(artifacts)
    report.received += artifacts.length
    report.duplicates += artifacts.length - added
    return { status: 200, body: undefined }
  }

  const takeValidated = (body: Record<string, unknown>) => {
    const stage = chain.stage()
    const at = chain.height()
    if (stage === undefined || stage.height !== body.block_height || at < stage.heights.validationStart) {
      return { status: 503, body: { error: 'not in PoC validate phase' } }
    }
    const total = scheme.kind === 'v1' ? (body.nonces as number[]).length : Number(body.n_total)
    const fraud = body.fraud_detected === true || total <= 0
    if (fraud) {
      const shown =
        scheme.kind === 'v1' ? `${body.n_invalid} of ${total} invalid` : `${body.n_mismatch} of ${total} mismatch`
      reasons.push(`height ${stage.height}: against ${hostName(String(body.public_key))}: ${shown}`)
    }
    verdicts.get(`${stage.height}/${body.public_key}`)?.(fraud ? -1n : BigInt(total))
    return { status: 200, body: undefined }
  }

  const hostName = (publicKeyHex: string) =>
    parts.hosts().find((host) => host.account.publicKeyHex === publicKeyHex)?.name ?? 'unknown host'

  const route = (path: string, body: Record<string, unknown>): { status: number; body: unknown } => {
    if (path === '/v1/poc/proofs' || path === '/v1/poc/proofs/by-nonce') {
      const server = {
        account,
        privateKey: parts.privateKey,
        modelId: chain.modelId,
        now,
        store: (height: number) => stores.get(height),
        accountOf: (address: string) => chain.accounts().find((a) => a.address === address),
      }
      return answerProofs(server, body, path.endsWith('by-nonce'))
    }
    const v2 = /^\/v2\/poc-batches\/([^/]+)\/(generated|validated)$/.exec(path)
    const v1 = /^\/v1\/poc-batches\/(generated|validated)$/.exec(path)
    if (v2 !== null) {
      const model = decodeURIComponent(decodeURIComponent(v2[1] as string))
      if (model !== chain.modelId) return { status: 400, body: { error: 'invalid model_id' } }
    }
    const action = v2?.[2] ?? v1?.[1]
    if (action === 'generated') return takeGenerated(body)
    return action === 'validated' ? takeValidated(body) : { status: 404, body: { error: 'no such route' } }
  }

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const path = request.url ?? ''
    const callback = path.includes('/poc-batches/')
    if (callback && faults.delayMs > 0) await sleep(random() * faults.delayMs)
    if (callback && random() < faults.drop) {
      counts.drops++
      request.socket.destroy()
      return
    }
    if (callback && inStorm()) {
      counts.storms++
      response.writeHead(503).end('{"error":"service is overloaded"}')
      return
    }
    let body: Record<string, unknown>
    try {
      body = JSON.parse(Buffer.concat(parts).toString('utf8')) as Record<string, unknown>
    } catch {
      response.writeHead(400).end('{"error":"invalid JSON"}')
      return
    }
    const answer = route(path, body)
    if (callback && answer.status === 200 && random() < faults.duplicate) {
      counts.duplicates++
      setTimeout(() => route(path, body), random() * 500).unref()
    }
    if (callback && random() < faults.cut) {
      counts.cuts++
      request.socket.destroy()
      return
    }
    response.writeHead(answer.status, { 'content-type': 'application/json' })
    response.end(answer.body === undefined ? '' : JSON.stringify(answer.body))
  }

  let stormSecond = -1
  let storming = false
  const inStorm = () => {
    const second = Math.floor(performance.now() / 1000)
    if (second !== stormSecond) {
      stormSecond = second
      storming = random() < faults.storm
    }
    return storming
  }

  const server: Server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!ending.signal.aborted) trouble(`callback: ${messageOf(error)}`)
      response.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  // ---- transactions ----

  const submit = async (name: string, fields: Record<string, unknown>): Promise<string | undefined> => {
    const message: Any = packAny(`inference.inference.${name}`, { creator: account.address, ...fields })
    const tx = buildTx({
      messages: [message],
      fee: { gas: estimateGas([message]), gasPrice: 1n },
      publicKey: account.publicKey,
      chainId: chain.chainId,
      accountNumber: 0n,
      timeoutSeconds: BigInt(Math.floor(Date.now() / 1000)) + 60n,
      memo: `${chain.height()}`,
    })
    const signed = await signTx(tx, (bytes) => sign(bytes, parts.privateKey))
    return chain.broadcast(signed.raw)
  }

  const commit = async (stage: Stage) => {
    let count: number
    let root: Uint8Array
    if (scheme.kind === 'v1') {
      // PoC v1 publishes nonces and distances themselves; the root stands for them in this chain's count rule.
      count = v1Stores.get(stage.height)?.size ?? 0
      root = new Uint8Array(32)
    } else {
      const store = storeOf(stage.height)
      if (store.count <= (stage.commits.get(account.address)?.count ?? 0)) return
      ;({ count, root } = store.flush())
    }
    if (count <= (stage.commits.get(account.address)?.count ?? 0)) return
    const entries = [{ model_id: chain.modelId, count, root_hash: root }]
    const why = await submit('MsgPoCV2StoreCommit', { poc_stage_start_block_height: BigInt(stage.height), entries })
    if (why !== undefined) trouble(`commit refused: ${why}`)
  }

  const distribute = async (stage: Stage) => {
    const count = stage.commits.get(account.address)?.count ?? 0
    if (count === 0) return
    const base = Math.floor(count / nodes.length)
    const weights = nodes.map((_, i) => ({
      node_id: `node${i + 1}`,
      weight: i === 0 ? count - base * (nodes.length - 1) : base,
    }))
    const entries = [{ model_id: chain.modelId, weights }]
    const why = await submit('MsgMLNodeWeightDistribution', {
      poc_stage_start_block_height: BigInt(stage.height),
      entries,
    })
    if (why !== undefined) trouble(`distribution refused: ${why}`)
  }

  // ---- validation ----

  const claimsOf = async (stage: Stage, target: NetworkNode, signal: AbortSignal): Promise<Claims | string> => {
    const committed = stage.commits.get(target.account.address)
    if (committed === undefined) return 'no commit'
    const publicKeyHex = target.account.publicKeyHex
    if (scheme.kind === 'v1') {
      const all = [...target.v1Batches(stage.height)].sort((a, b) => a[0] - b[0])
      const chosen = sampleNonceIndicesV1(
        account.publicKeyHex,
        stage.samplingHash,
        BigInt(stage.height),
        all.length,
        parts.sampleSize,
      ).map((i) => all[i] as [number, number])
      return { publicKeyHex, nonces: chosen.map(([nonce]) => nonce), distances: chosen.map(([, dist]) => dist) }
    }
    const indices = sampleLeafIndices({
      validatorPubKey: account.publicKeyHex,
      blockHash: stage.samplingHash,
      height: BigInt(stage.height),
      modelId: chain.modelId,
      count: committed.count,
      sampleSize: parts.sampleSize,
    })
    const request = { ...committed, height: stage.height, modelId: chain.modelId }
    const client = { account, privateKey: parts.privateKey, now }
    const proofs = await requestProofs(client, target.url, target.account, request, indices, signal)
    const problem = proofProblem(committed, indices, proofs, scheme.kDim)
    if (problem !== undefined) return problem
    return { publicKeyHex, nonces: proofs.map((p) => p.nonce), vectors: proofs.map((p) => p.vectorBase64) }
  }

  let turn = 0
  const stageCall = (stage: Stage, nodeIndex: number, validating: boolean) => ({
    stage,
    publicKeyHex: account.publicKeyHex,
    nodeId: nodeIndex + 1,
    // Validation counts the nodes of the model, generation the highest number plus one.
    nodeCount: validating && scheme.kind === 'v2' ? nodes.length : nodes.length + 1,
    callbackUrl: url,
  })

  /** The weight to vote for a target, or undefined to abstain. */
  const judge = async (stage: Stage, target: NetworkNode, signal: AbortSignal): Promise<bigint | undefined> => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const claims = await claimsOf(stage, target, signal)
        if (typeof claims === 'string') {
          reasons.push(`height ${stage.height}: against ${target.name}: ${claims}`)
          return -1n
        }
        const index = turn++ % nodes.length
        const key = `${stage.height}/${claims.publicKeyHex}`
        const verdict = new Promise<bigint | undefined>((resolve) => {
          verdicts.set(key, resolve)
          signal.addEventListener('abort', () => resolve(undefined), { once: true })
        })
        await broker.validate((nodes[index] as MlNode).url, stageCall(stage, index, true), claims, signal)
        const weight = await verdict
        if (weight === undefined) break
        return weight
      } catch (error) {
        if (signal.aborted) break
        if (attempt === 0) trouble(`validation of ${target.name}: ${messageOf(error)}`)
        await sleep(200, undefined, { signal }).catch(() => undefined)
      }
    }
    reasons.push(`height ${stage.height}: abstained on ${target.name}: no verdict in time`)
    return undefined
  }

  const validateAll = async (stage: Stage, signal: AbortSignal) => {
    const targets = parts.hosts().filter((host) => stage.commits.has(host.account.address))
    const votes = await Promise.all(
      targets.map(async (target) => ({ target, weight: await judge(stage, target, signal) })),
    )
    const validations = votes
      .filter((vote) => vote.weight !== undefined)
      .map(({ target, weight }) => ({
        participant_address: target.account.address,
        validated_weight: weight,
        model_id: chain.modelId,
      }))
    if (validations.length === 0) return
    const why = await submit('MsgSubmitPocValidationsV2', {
      poc_stage_start_block_height: BigInt(stage.height),
      validations,
    })
    if (why !== undefined) trouble(`votes refused: ${why}`)
  }

  // ---- driving ----

  let busy = false
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
        .then(() => commit(stage))
        .catch((error: unknown) => trouble(`commit: ${messageOf(error)}`))
    } else if (height > heights.exchangeEnd && !distributed.has(stage.height)) {
      distributed.add(stage.height)
      committing = committing
        .then(() => distribute(stage))
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
      reportOf(stage.height)
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
      void validateAll(stage, until).catch((error: unknown) => trouble(`validation: ${messageOf(error)}`))
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
    if (busy) return
    busy = true
    drive(height)
      .catch((error: unknown) => trouble(messageOf(error)))
      .finally(() => {
        busy = false
      })
  })

  return {
    name: parts.name,
    account,
    fault,
    url,
    nodes,
    reports,
    reasons,
    prepare: async (signal) => void (await Promise.all(nodes.map((node) => broker.prepare(node.url, signal)))),
    v1Batches: (height) => v1Stores.get(height) ?? new Map(),
    async close() {
      ending.abort()
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
