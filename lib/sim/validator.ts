// A host as validator: samples other hosts' artifacts, checks their proofs, has its ML nodes recompute them, and votes.

import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import { sampleLeafIndices, sampleNonceIndicesV1 } from '../protocol/sampling.ts'
import type { Broker, Claims, Scheme, StageCall } from './broker.ts'
import type { Account, SimChain, Stage } from './chain.ts'
import { proofProblem } from './check-proofs.ts'
import type { MlNode } from './ml-node.ts'
import type { NetworkNode } from './network-node.ts'
import { requestProofs } from './proof-service.ts'

export interface Validator {
  /** Judges every host that committed and votes. */
  validate(stage: Stage, signal: AbortSignal): Promise<void>
  onVerdict(height: number, publicKey: string, weight: bigint, shown: string): void
  /** Why this host voted as it did, newest last. */
  readonly reasons: readonly string[]
}

export interface ValidatorParts {
  readonly chain: SimChain
  readonly account: Account
  readonly privateKey: Uint8Array
  readonly scheme: Scheme
  readonly broker: Broker
  readonly nodes: readonly MlNode[]
  readonly now: () => number
  readonly sampleSize: number
  readonly hosts: () => readonly NetworkNode[]
  readonly stageCall: (stage: Stage, nodeIndex: number, validating: boolean) => StageCall
  readonly submit: (name: string, fields: Record<string, unknown>) => Promise<string | undefined>
  readonly onTrouble: (what: string) => void
}

export function createValidator(parts: ValidatorParts): Validator {
  const { chain, account, scheme, broker, nodes, now, stageCall, submit } = parts
  const trouble = parts.onTrouble
  const reasons: string[] = []
  const verdicts = new Map<string, (weight: bigint) => void>()
  let turn = 0

  const hostName = (publicKeyHex: string) =>
    parts.hosts().find((host) => host.account.publicKeyHex === publicKeyHex)?.name ?? 'unknown host'

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

  const validate = async (stage: Stage, signal: AbortSignal) => {
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

  return {
    validate,
    reasons,
    onVerdict(height, publicKey, weight, shown) {
      // A verdict whose answer was lost comes again.
      const reason = `height ${height}: against ${hostName(publicKey)}: ${shown}`
      if (weight < 0n && !reasons.includes(reason)) reasons.push(reason)
      verdicts.get(`${height}/${publicKey}`)?.(weight)
    },
  }
}
