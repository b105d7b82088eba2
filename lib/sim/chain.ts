// The simulated chain: blocks at a pace the machine can hold, transactions checked like the real ones (signature, decoding, rules), votes
// counted, epochs settled.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { addressOf, verifySignature } from '../chain/keys.ts'
import { decodeMessage, encodeMessage } from '../chain/messages.ts'
import { GonkaError } from '../errors.ts'
import {
  confirmationHeights,
  confirmationWindow,
  type EpochParams,
  type Phase,
  phaseAt,
  type StageHeights,
  stageHeights,
} from './schedule.ts'
import { outcome } from './weights.ts'

export interface Commit {
  readonly count: number
  readonly root: Uint8Array
  readonly height: number
}

/** A stage with everything hosts submitted for it. */
export interface Stage {
  /** Key: start height, or trigger height of a confirmation. */
  readonly height: number
  readonly epoch: number
  readonly kind: 'regular' | 'confirmation'
  readonly heights: StageHeights
  /** Seeds artifacts; opaque. */
  blockHash: string
  /** Seeds the choice of leaves; known when validation starts. */
  samplingHash: string
  /** By address; the newest of each host. */
  readonly commits: Map<string, Commit>
  /** By target address, then voter: validated weight. */
  readonly votes: Map<string, Map<string, bigint>>
  readonly distributions: Map<string, number>
}

export interface Account {
  readonly address: string
  readonly publicKey: Uint8Array
  readonly publicKeyHex: string
}

export interface SimChain {
  readonly params: EpochParams
  readonly modelId: string
  readonly chainId: string
  /** A second of the chain's time in milliseconds of the wall's, at least 20: a block stands for 5.41 s. */
  readonly secondMs: number
  height(): number
  phase(): Phase
  /** The stage in progress: generating, validating, or between the two. */
  stage(): Stage | undefined
  stages(): readonly Stage[]
  accounts(): readonly Account[]
  register(publicKey: Uint8Array): Account
  /** Checks and applies a signed transaction; returns why it was refused, or undefined. */
  broadcast(raw: Uint8Array): string | undefined
  /** Called after every block; a failing listener is the listener's business. */
  onBlock(listener: (height: number) => void): void
  blockHash(height: number): string
  /** Voting power by address: last epoch's weights, or one each before there are any. */
  power(): ReadonlyMap<string, number>
  setPower(power: ReadonlyMap<string, number>): void
  start(): void
  stop(): void
  /** Resolves with the block of this height; rejects with ERR_GK_CANCELLED. */
  reached(height: number, signal: AbortSignal): Promise<void>
  /** Mean length of a block so far, milliseconds. */
  meanBlockMs(): number
}

export interface ChainOptions {
  readonly params: EpochParams
  /** Least length of a block. */
  readonly blockMs: number
  /** The next block is not made before this resolves: a busy machine makes blocks longer instead of missing them. */
  readonly pace?: (height: number) => Promise<unknown>
  readonly modelId: string
  /** Makes block hashes; the same seed gives the same ones. */
  readonly seed: string
  /** A confirmation in every epoch. */
  readonly confirmations: boolean
  readonly thresholdBps: number
}

export const simChainId = 'gonka-simulated'

export function createChain(options: ChainOptions): SimChain {
  const { params } = options
  const accounts = new Map<string, Account>()
  const stages: Stage[] = []
  const listeners: ((height: number) => void)[] = []
  const seen = new Set<string>()
  let power = new Map<string, number>()
  let height = 0
  let running: AbortController | undefined
  let startedAt = 0
  const firstStage = 3

  const digest = (at: number) => createHash('sha256').update(`${options.seed}/${at}`).digest('hex')
  // Regular stages see the hash in upper case, confirmations in lower case: nodes must not care.
  const newStage = (kind: Stage['kind'], key: number, epoch: number): Stage => {
    const heights = kind === 'regular' ? stageHeights(key, params) : confirmationHeights(key, params)
    const blockHash = kind === 'regular' ? digest(key).toUpperCase() : digest(heights.start - 1)
    return {
      height: key,
      epoch,
      kind,
      heights,
      blockHash,
      samplingHash: digest(heights.validationStart),
      commits: new Map(),
      votes: new Map(),
      distributions: new Map(),
    }
  }

  const triggerOf = (epochStart: number): number | undefined => {
    const { first, last } = confirmationWindow(epochStart, params)
    if (!options.confirmations || last < first) return undefined
    return first + Number(BigInt(`0x${digest(epochStart).slice(0, 8)}`) % BigInt(last - first + 1))
  }

  const tick = () => {
    height++
    const offset = (height - firstStage) % params.epochLength
    const epoch = Math.floor((height - firstStage) / params.epochLength) + 1
    if (height >= firstStage && offset === 0) stages.push(newStage('regular', height, epoch))
    const epochStart = height - offset
    if (height > firstStage && triggerOf(epochStart) === height) stages.push(newStage('confirmation', height, epoch))
    for (const listener of listeners) listener(height)
  }

  const produce = async (signal: AbortSignal) => {
    while (!signal.aborted) {
      const due = sleep(options.blockMs, undefined, { signal }).catch(() => undefined)
      await Promise.all([due, options.pace?.(height)])
      if (!signal.aborted) tick()
    }
  }

  const stage = () => {
    const last = stages.at(-1)
    return last !== undefined && height < last.heights.validationEnd ? last : undefined
  }

  const applyCommit = (creator: string, message: Record<string, unknown>): string | undefined => {
    const target = stages.find((s) => s.height === Number(message.poc_stage_start_block_height ?? 0))
    if (target === undefined || target !== stages.at(-1)) return '1107 wrong stage start height'
    if (height <= target.heights.start || height > target.heights.exchangeEnd) return '1108 commit window is closed'
    for (const entry of (message.entries ?? []) as { model_id?: string; count?: number; root_hash?: string }[]) {
      if (entry.model_id !== options.modelId) return `model ${entry.model_id} is not in the governance list`
      const root = Uint8Array.from(Buffer.from(entry.root_hash ?? '', 'base64'))
      if (root.length !== 32) return `root has ${root.length} bytes`
      const last = target.commits.get(creator)
      if ((entry.count ?? 0) <= (last?.count ?? 0)) return 'count is not greater than the last one'
      target.commits.set(creator, { count: entry.count ?? 0, root, height })
    }
    return undefined
  }

  const applyVotes = (creator: string, message: Record<string, unknown>): string | undefined => {
    const target = stages.find((s) => s.height === Number(message.poc_stage_start_block_height ?? 0))
    if (target === undefined) return '1107 wrong stage start height'
    if (height < target.heights.validationStart || height >= target.heights.validationEnd) return 'validation is closed'
    type Entry = { participant_address?: string; validated_weight?: string }
    for (const entry of (message.validations ?? []) as Entry[]) {
      const address = entry.participant_address ?? ''
      const votes = target.votes.get(address) ?? new Map<string, bigint>()
      // The first vote counts; a host cannot change its mind.
      if (!votes.has(creator)) votes.set(creator, BigInt(entry.validated_weight ?? '0'))
      target.votes.set(address, votes)
    }
    return undefined
  }

  const applyDistribution = (creator: string, message: Record<string, unknown>): string | undefined => {
    const target = stages.find((s) => s.height === Number(message.poc_stage_start_block_height ?? 0))
    const commit = target?.commits.get(creator)
    if (target === undefined || commit === undefined) return 'no commit to distribute'
    type Entry = { weights?: { weight?: number }[] }
    const entries = (message.entries ?? []) as Entry[]
    const sum = entries.flatMap((e) => e.weights ?? []).reduce((total, w) => total + (w.weight ?? 0), 0)
    if (sum !== commit.count) return `weights sum to ${sum}, committed are ${commit.count}`
    target.distributions.set(creator, sum)
    return undefined
  }

  const apply = (type: string, message: Record<string, unknown>): string | undefined => {
    const creator = String(message.creator ?? '')
    switch (type) {
      case '/inference.inference.MsgPoCV2StoreCommit':
        return applyCommit(creator, message)
      case '/inference.inference.MsgSubmitPocValidationsV2':
        return applyVotes(creator, message)
      case '/inference.inference.MsgMLNodeWeightDistribution':
        return applyDistribution(creator, message)
      default:
        return `message ${type} is not known`
    }
  }

  return {
    params,
    modelId: options.modelId,
    chainId: simChainId,
    secondMs: Math.max(20, options.blockMs / 5.41),
    height: () => height,
    phase() {
      const current = stage()
      return current === undefined ? 'Inference' : phaseAt(height, current.heights)
    },
    stage,
    stages: () => stages,
    accounts: () => [...accounts.values()],
    register(publicKey) {
      const account = {
        address: addressOf(publicKey),
        publicKey,
        publicKeyHex: Buffer.from(publicKey).toString('hex'),
      }
      accounts.set(account.address, account)
      return account
    },
    broadcast(raw) {
      const hash = createHash('sha256').update(raw).digest('hex')
      if (seen.has(hash)) return 'transaction is already known'
      const tx = decodeMessage('cosmos.tx.v1beta1.TxRaw', raw) as Record<string, string | string[]>
      const bytes = (text: unknown) => Uint8Array.from(Buffer.from(String(text), 'base64'))
      const body = decodeMessage('cosmos.tx.v1beta1.TxBody', bytes(tx.body_bytes))
      const auth = decodeMessage('cosmos.tx.v1beta1.AuthInfo', bytes(tx.auth_info_bytes))
      const signer = (auth.signer_infos as { public_key?: { key?: string } }[] | undefined)?.[0]
      const publicKey = bytes(signer?.public_key?.key)
      const account = accounts.get(addressOf(publicKey))
      if (account === undefined) return 'signer has no account'
      const signDoc = signDocOf(bytes(tx.body_bytes), bytes(tx.auth_info_bytes))
      if (!verifySignature(bytes(tx.signatures?.[0]), signDoc, publicKey)) return 'signature verification failed'
      seen.add(hash)
      for (const message of (body.messages ?? []) as Record<string, unknown>[]) {
        if (message.creator !== account.address) return 'creator is not the signer'
        const refused = apply(String(message['@type']), message)
        if (refused !== undefined) return refused
      }
      return undefined
    },
    onBlock: (listener) => listeners.push(listener),
    blockHash: digest,
    power: () => (power.size > 0 ? power : new Map([...accounts.keys()].map((address) => [address, 1]))),
    setPower(next) {
      power = new Map(next)
    },
    start() {
      running = new AbortController()
      startedAt = performance.now()
      void produce(running.signal)
    },
    stop() {
      running?.abort()
    },
    reached: (wanted, signal) =>
      new Promise<void>((resolve, reject) => {
        const cancel = () => reject(new GonkaError('ERR_GK_CANCELLED', 'cancelled'))
        if (signal.aborted) cancel()
        signal.addEventListener('abort', cancel, { once: true })
        listeners.push((now) => {
          if (now < wanted) return
          signal.removeEventListener('abort', cancel)
          resolve()
        })
      }),
    meanBlockMs: () => (height === 0 ? 0 : (performance.now() - startedAt) / height),
  }
}

/** Body, auth info and chain id; account numbers are all zero here and zeros are not encoded. */
function signDocOf(body: Uint8Array, authInfo: Uint8Array): Uint8Array {
  return encodeMessage('cosmos.tx.v1beta1.SignDoc', {
    body_bytes: body,
    auth_info_bytes: authInfo,
    chain_id: simChainId,
  })
}

/** How a stage's votes on one host come out. */
export function verdictOn(
  stage: Stage,
  address: string,
  power: ReadonlyMap<string, number>,
  thresholdBps: number,
): { outcome: 'accepted' | 'rejected'; validPower: number; invalidPower: number; totalPower: number } {
  let validPower = 0
  let invalidPower = 0
  let totalPower = 0
  for (const value of power.values()) totalPower += value
  for (const [voter, weight] of stage.votes.get(address) ?? []) {
    if (weight > 0n) validPower += power.get(voter) ?? 0
    else invalidPower += power.get(voter) ?? 0
  }
  const votes = { validPower, invalidPower, totalPower }
  return { ...votes, outcome: outcome(votes, thresholdBps) }
}
