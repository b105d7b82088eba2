// Taking a host from nothing to announced. Every step first looks whether it is done, so the whole may be repeated after
// any interruption.

import { setTimeout as sleep } from 'node:timers/promises'
import { GonkaError } from '../errors.ts'
import { at, type ChainClient, type Fetch } from './chain-client.ts'
import { feeGrantMessage, grantMessages, warmKeyMessages } from './grants.ts'
import type { Key } from './key-file.ts'
import { sign } from './keys.ts'
import { type Any, packAny } from './messages.ts'
import { buildTx, describeTx, estimateGas, signTx, type UnsignedTx } from './tx.ts'

/** The node as the admin API takes it. */
export interface NodeDescription {
  readonly id: string
  readonly host: string
  readonly inference_port: number
  readonly poc_port: number
  readonly max_concurrent: number
  readonly models: Readonly<Record<string, { readonly args: readonly string[] }>>
  readonly hardware: readonly { readonly type: string; readonly count: number }[]
}

export interface JoinRequest {
  /** Public URL under which other hosts reach this one. */
  readonly url: string
  readonly cold: Key
  /** The key that will send automatic messages; without it no grants are given. */
  readonly warmAddress?: string
  /** base64 of the 32-byte ed25519 consensus key. */
  readonly validatorKey: string
  readonly chainId: string
  /** ngonka per unit of gas. */
  readonly gasPrice: bigint
  /** Base URL of the admin API and what to announce there. */
  readonly admin?: { readonly url: string; readonly node: NodeDescription }
  readonly dryRun: boolean
}

export type StepStatus = 'done' | 'already' | 'planned' | 'skipped'

export interface Step {
  readonly step: 'check' | 'participant' | 'grants' | 'announce' | 'verify'
  readonly status: StepStatus
  /** One sentence for people. */
  readonly detail: string
  /** Dry run: the decoded transaction or the request that would be sent. */
  readonly plan?: unknown
}

export interface JoinParts {
  readonly chain: ChainClient
  readonly send: Fetch
  readonly signal: AbortSignal
  readonly onStep: (step: Step) => void
  /** Between looks at something that takes a while, milliseconds. */
  readonly pollMs?: number
  /** Longest wait for it. */
  readonly waitMs?: number
}

async function waitFor<T>(parts: JoinParts, what: string, look: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + (parts.waitMs ?? 120_000)
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) {
      throw new GonkaError('ERR_GK_BACKEND', `${what} did not happen in time; run the command again to go on from here`)
    }
    await sleep(parts.pollMs ?? 3000, undefined, { signal: parts.signal }).catch(() => {
      throw new GonkaError('ERR_GK_CANCELLED', 'cancelled')
    })
  }
}

function checkRequest(request: JoinRequest): void {
  let url: URL
  try {
    url = new URL(request.url)
  } catch {
    throw new GonkaError('ERR_GK_USAGE', `--url ${JSON.stringify(request.url)} is no URL; use http://HOST:8000`)
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new GonkaError('ERR_GK_USAGE', '--url must be http or https')
  if (/^(localhost|127\.|10\.|192\.168\.|169\.254\.|\[::1\]|0\.0\.0\.0)/.test(url.host)) {
    throw new GonkaError(
      'ERR_GK_USAGE',
      `--url ${request.url} cannot be reached from the internet; give the public address`,
    )
  }
  const key = Buffer.from(request.validatorKey, 'base64')
  if (key.length !== 32 || key.toString('base64') !== request.validatorKey) {
    throw new GonkaError(
      'ERR_GK_USAGE',
      '--validator-key must be the base64 of 32 bytes, as the consensus key service prints it',
    )
  }
}

/** Builds, signs and sends; doubles the gas when the chain says it ran out. Returns the hash. */
async function execute(
  request: JoinRequest,
  parts: JoinParts,
  messages: readonly Any[],
  accountNumber: bigint,
): Promise<string> {
  for (let gas = estimateGas(messages), attempt = 0; ; gas *= 2n, attempt++) {
    const tx = await prepare(request, parts, messages, accountNumber, gas)
    const signed = await signTx(tx, (bytes) => sign(bytes, request.cold.privateKey))
    await parts.chain.broadcast(signed.base64)
    const result = await waitFor(parts, `inclusion of transaction ${signed.hash}`, () =>
      parts.chain.result(signed.hash),
    )
    if (result.code === 0) return signed.hash
    if (attempt < 3 && /out of gas/i.test(result.log)) continue
    throw new GonkaError('ERR_GK_BACKEND', `transaction ${signed.hash} failed (code ${result.code}): ${result.log}`)
  }
}

async function prepare(
  request: JoinRequest,
  parts: JoinParts,
  messages: readonly Any[],
  accountNumber: bigint,
  gas: bigint,
): Promise<UnsignedTx> {
  return buildTx({
    messages,
    fee: { gas, gasPrice: request.gasPrice },
    publicKey: request.cold.publicKey,
    chainId: request.chainId,
    accountNumber,
    timeoutSeconds: (await parts.chain.blockTime()) + 60n,
  })
}

async function registerParticipant(request: JoinRequest, parts: JoinParts): Promise<Step> {
  const { chain } = parts
  const { address, publicKey } = request.cold
  const present = await chain.participant(address)
  if (present?.url === request.url) {
    return { step: 'participant', status: 'already', detail: `${address} is registered with ${present.url}` }
  }
  const account = await chain.account(address)
  // A changed URL or a funded account is the host's own business to sign; the seed registers newcomers only.
  if (present !== undefined || account?.hasPublicKey) {
    const fields = { creator: address, url: request.url, validator_key: request.validatorKey }
    const messages = [packAny('inference.inference.MsgSubmitNewParticipant', fields)]
    const number = account?.accountNumber ?? 0n
    if (request.dryRun) {
      const plan = describeTx(await prepare(request, parts, messages, number, estimateGas(messages)))
      return { step: 'participant', status: 'planned', detail: 'a transaction of the account registers it', plan }
    }
    const hash = await execute(request, parts, messages, number)
    return { step: 'participant', status: 'done', detail: `registered by transaction ${hash}` }
  }
  if (account !== undefined && (await chain.balance(address)) > 0n) {
    throw new GonkaError(
      'ERR_GK_KEY',
      `${address} has funds but the chain does not know its public key: send any amount from it once (to itself will do), then run this again`,
    )
  }
  const body = {
    address,
    url: request.url,
    validatorKey: request.validatorKey,
    publicKeyBase64: Buffer.from(publicKey).toString('base64'),
  }
  if (request.dryRun) {
    const plan = { ...body, by: 'the seed broadcasts MsgSubmitNewUnfundedParticipant with its own key' }
    return { step: 'participant', status: 'planned', detail: 'the seed registers the account', plan }
  }
  await chain.registerUnfunded(body)
  await waitFor(parts, 'registration', () => chain.participant(address))
  return { step: 'participant', status: 'done', detail: `${address} was registered by the seed` }
}

async function giveGrants(request: JoinRequest, parts: JoinParts): Promise<Step> {
  const { chain } = parts
  const granter = request.cold.address
  const grantee = request.warmAddress
  if (grantee === undefined) {
    return {
      step: 'grants',
      status: 'skipped',
      detail: 'no warm key given: the network node cannot send transactions for this host',
    }
  }
  const now = await chain.blockTime()
  const held = await chain.grants(granter, grantee, now)
  const missing = warmKeyMessages.filter((type) => !held.has(type))
  const feeGrant = !(await chain.hasFeeGrant(granter, grantee))
  if (missing.length === 0 && !feeGrant) {
    return {
      step: 'grants',
      status: 'already',
      detail: `${grantee} holds all ${warmKeyMessages.length} grants and the fee allowance`,
    }
  }
  const messages = [
    ...grantMessages(granter, grantee, now, missing),
    ...(feeGrant ? [feeGrantMessage(granter, grantee)] : []),
  ]
  const account = await chain.account(granter)
  const what = `${missing.length} grants${feeGrant ? ' and the fee allowance' : ''} to ${grantee}`
  if (request.dryRun) {
    const tx = await prepare(request, parts, messages, account?.accountNumber ?? 0n, estimateGas(messages))
    return { step: 'grants', status: 'planned', detail: what, plan: describeTx(tx) }
  }
  const balance = await chain.balance(granter)
  const fee = estimateGas(messages) * request.gasPrice
  if (account === undefined || balance < fee) {
    throw new GonkaError(
      'ERR_GK_KEY',
      `${granter} holds ${balance} ngonka, the grants cost ${fee}: fund it (about 20 GNK are recommended), then run this again`,
    )
  }
  const hash = await execute(request, parts, messages, account.accountNumber)
  return { step: 'grants', status: 'done', detail: `${what}: transaction ${hash}` }
}

function sameNode(listed: unknown, node: NodeDescription): boolean {
  const found = at(listed, 'node') ?? listed
  return (
    at(found, 'host') === node.host &&
    at(found, 'inference_port') === node.inference_port &&
    at(found, 'poc_port') === node.poc_port &&
    JSON.stringify(Object.keys((at(found, 'models') as object | undefined) ?? {}).sort()) ===
      JSON.stringify(Object.keys(node.models).sort())
  )
}

async function listedNode(send: Fetch, admin: string, id: string): Promise<unknown> {
  const answer = await send('GET', `${admin}/admin/v1/nodes`)
  if (answer.status !== 200) {
    throw new GonkaError('ERR_GK_BACKEND', `the admin API at ${admin} answers ${answer.status} to /admin/v1/nodes`)
  }
  const list = Array.isArray(answer.json) ? answer.json : ((at(answer.json, 'nodes') ?? []) as unknown[])
  return list.find((entry) => (at(entry, 'node', 'id') ?? at(entry, 'id')) === id)
}

async function announce(request: JoinRequest, parts: JoinParts): Promise<Step[]> {
  const { admin } = request
  if (admin === undefined) {
    return [{ step: 'announce', status: 'skipped', detail: 'no --admin URL: the ML node is not announced' }]
  }
  const { node } = admin
  const listed = await listedNode(parts.send, admin.url, node.id)
  const steps: Step[] = []
  if (listed !== undefined && sameNode(listed, node)) {
    steps.push({ step: 'announce', status: 'already', detail: `node ${node.id} is announced` })
  } else {
    const body = { ...node, inference_segment: '', poc_segment: '' }
    if (request.dryRun)
      return [{ step: 'announce', status: 'planned', detail: `POST ${admin.url}/admin/v1/nodes`, plan: body }]
    const answer = await parts.send('POST', `${admin.url}/admin/v1/nodes`, body)
    if (answer.status !== 200) {
      throw new GonkaError(
        'ERR_GK_BACKEND',
        `the network node refuses node ${node.id} (${answer.status}): ${answer.text.slice(0, 300)}`,
      )
    }
    steps.push({ step: 'announce', status: 'done', detail: `node ${node.id} is announced` })
  }
  if (request.dryRun) return steps
  const seen = await waitFor(parts, `listing of node ${node.id}`, () => listedNode(parts.send, admin.url, node.id))
  const state = at(seen, 'state', 'current_status') ?? at(seen, 'state', 'status') ?? 'not told'
  const report = await parts.send('GET', `${admin.url}/admin/v1/setup/report`).catch(() => undefined)
  const overall = report?.status === 200 ? at(report.json, 'overall_status') : undefined
  const setup = overall === undefined ? '' : `, setup report: ${String(overall)}`
  steps.push({
    step: 'verify',
    status: 'done',
    detail: `the network node lists ${node.id}, status ${String(state)}${setup}`,
  })
  return steps
}

/** Runs all steps. Throws GonkaError at the first that cannot be done, saying what to do. */
export async function join(request: JoinRequest, parts: JoinParts): Promise<Step[]> {
  checkRequest(request)
  const steps: Step[] = []
  const record = (step: Step) => {
    steps.push(step)
    parts.onStep(step)
  }
  const time = await parts.chain.blockTime()
  const skew = Math.abs(Number(time) - Date.now() / 1000)
  record({
    step: 'check',
    status: 'done',
    detail: `the seed answers; its last block is ${Math.round(skew)} s away from this clock${skew > 60 ? ': SET THE CLOCK' : ''}`,
  })
  record(await registerParticipant(request, parts))
  record(await giveGrants(request, parts))
  for (const step of await announce(request, parts)) record(step)
  return steps
}
