// The HTTP interfaces a joining host talks to: a seed's public API, the chain's REST API behind it, the host's own admin
// API. 64-bit integers arrive as JSON strings.

import { GonkaError, messageOf } from '../errors.ts'

export interface HttpAnswer {
  readonly status: number
  readonly text: string
  /** Undefined if the text is no JSON. */
  readonly json: unknown
}

export type Fetch = (method: string, url: string, body?: unknown) => Promise<HttpAnswer>

const timeoutMs = 20_000
const maxText = 8 * 2 ** 20

/** Sends JSON, reads at most 8 MiB. Throws ERR_GK_BACKEND if nothing answers. */
export function jsonFetch(signal: AbortSignal): Fetch {
  return async (method, url, body) => {
    try {
      const answer = await fetch(url, {
        method,
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      })
      const text = (await answer.text()).slice(0, maxText)
      let json: unknown
      try {
        json = JSON.parse(text)
      } catch {
        json = undefined
      }
      return { status: answer.status, text, json }
    } catch (error) {
      const cause = (error as { cause?: unknown }).cause
      throw new GonkaError('ERR_GK_BACKEND', `${method} ${url}: ${messageOf(cause ?? error)}`, { cause: error })
    }
  }
}

/** The value at a path of keys, undefined if there is none. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let current = value
  for (const key of path) {
    if (typeof current !== 'object' || current === null) return undefined
    current = (current as Record<string | number, unknown>)[key]
  }
  return current
}

const textOf = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '')

export interface AccountState {
  readonly accountNumber: bigint
  readonly sequence: bigint
  /** False: the chain has never seen a signature of this account and does not know its key. */
  readonly hasPublicKey: boolean
}

export interface ChainClient {
  participant(address: string): Promise<{ readonly url: string; readonly status: string } | undefined>
  /** Registers through the seed's own key: for accounts without funds. */
  registerUnfunded(request: {
    readonly address: string
    readonly url: string
    readonly validatorKey: string
    readonly publicKeyBase64: string
  }): Promise<void>
  account(address: string): Promise<AccountState | undefined>
  /** ngonka. */
  balance(address: string): Promise<bigint>
  /** Message types `grantee` may execute for `granter` after `nowSeconds`. */
  grants(granter: string, grantee: string, nowSeconds: bigint): Promise<ReadonlySet<string>>
  hasFeeGrant(granter: string, grantee: string): Promise<boolean>
  /** Throws ERR_GK_BACKEND with the chain's words if the transaction is refused. */
  broadcast(txBase64: string): Promise<string>
  /** Result of an included transaction; undefined while it is unknown. */
  result(hash: string): Promise<{ readonly code: number; readonly log: string } | undefined>
  /** Seconds since 1970 of the latest block. */
  blockTime(): Promise<bigint>
}

function refusal(what: string, answer: HttpAnswer): GonkaError {
  const said = textOf(at(answer.json, 'message')) || textOf(at(answer.json, 'error')) || answer.text.slice(0, 300)
  return new GonkaError('ERR_GK_BACKEND', `${what}: status ${answer.status}: ${said}`)
}

/** `seed` is the seed's base URL; the chain's REST API lies below it at /chain-api. */
export function chainClient(seed: string, send: Fetch, chainApi = `${seed}/chain-api`): ChainClient {
  const get = async (what: string, url: string): Promise<HttpAnswer | undefined> => {
    const answer = await send('GET', url)
    if (answer.status === 200) return answer
    // The chain answers "not found" as 404 or as gRPC code 5 in a 500.
    if (answer.status === 404 || at(answer.json, 'code') === 5) return undefined
    throw refusal(what, answer)
  }
  return {
    async participant(address) {
      const answer = await get('participant', `${seed}/v1/participants/${address}`)
      if (answer === undefined) return undefined
      const found = (at(answer.json, 'participant') ?? answer.json) as unknown
      const url = textOf(at(found, 'inference_url') ?? at(found, 'url'))
      return { url, status: textOf(at(found, 'status')) }
    },
    async registerUnfunded({ address, url, validatorKey, publicKeyBase64 }) {
      const body = { address, url, validator_key: validatorKey, pub_key: publicKeyBase64, worker_key: '' }
      const answer = await send('POST', `${seed}/v1/participants`, body)
      if (answer.status !== 200) throw refusal('registration', answer)
    },
    async account(address) {
      const answer = await get('account', `${chainApi}/cosmos/auth/v1beta1/accounts/${address}`)
      if (answer === undefined) return undefined
      const outer = at(answer.json, 'account')
      const account = at(outer, 'base_account') ?? at(outer, 'base_vesting_account', 'base_account') ?? outer
      return {
        accountNumber: BigInt(textOf(at(account, 'account_number')) || '0'),
        sequence: BigInt(textOf(at(account, 'sequence')) || '0'),
        hasPublicKey: typeof at(account, 'pub_key') === 'object' && at(account, 'pub_key') !== null,
      }
    },
    async balance(address) {
      const url = `${chainApi}/cosmos/bank/v1beta1/balances/${address}/by_denom?denom=ngonka`
      const answer = await get('balance', url)
      return BigInt(textOf(at(answer?.json, 'balance', 'amount')) || '0')
    },
    async grants(granter, grantee, nowSeconds) {
      const out = new Set<string>()
      let key = ''
      do {
        const page = key === '' ? '' : `&pagination.key=${encodeURIComponent(key)}`
        const query = `granter=${granter}&grantee=${grantee}${page}`
        const answer = await get('grants', `${chainApi}/cosmos/authz/v1beta1/grants?${query}`)
        for (const grant of (at(answer?.json, 'grants') ?? []) as unknown[]) {
          const expiration = Date.parse(textOf(at(grant, 'expiration')))
          const alive = Number.isNaN(expiration) || BigInt(Math.floor(expiration / 1000)) > nowSeconds
          if (alive) out.add(textOf(at(grant, 'authorization', 'msg')))
        }
        key = textOf(at(answer?.json, 'pagination', 'next_key'))
      } while (key !== '')
      return out
    },
    async hasFeeGrant(granter, grantee) {
      const answer = await get('fee grant', `${chainApi}/cosmos/feegrant/v1beta1/allowance/${granter}/${grantee}`)
      return at(answer?.json, 'allowance') !== undefined && at(answer?.json, 'allowance') !== null
    },
    async broadcast(txBase64) {
      const body = { tx_bytes: txBase64, mode: 'BROADCAST_MODE_SYNC' }
      const answer = await send('POST', `${chainApi}/cosmos/tx/v1beta1/txs`, body)
      const response = at(answer.json, 'tx_response')
      if (answer.status !== 200 || response === undefined) throw refusal('broadcast', answer)
      const code = Number(at(response, 'code') ?? 0)
      if (code !== 0) {
        throw new GonkaError(
          'ERR_GK_BACKEND',
          `the chain refuses the transaction (code ${code}): ${textOf(at(response, 'raw_log'))}`,
        )
      }
      return textOf(at(response, 'txhash'))
    },
    async result(hash) {
      const answer = await get('transaction', `${chainApi}/cosmos/tx/v1beta1/txs/${hash}`)
      const response = at(answer?.json, 'tx_response')
      if (response === undefined) return undefined
      return { code: Number(at(response, 'code') ?? 0), log: textOf(at(response, 'raw_log')) }
    },
    async blockTime() {
      const answer = await get('latest block', `${chainApi}/cosmos/base/tendermint/v1beta1/blocks/latest`)
      const time = Date.parse(textOf(at(answer?.json, 'block', 'header', 'time')))
      if (Number.isNaN(time)) throw new GonkaError('ERR_GK_BACKEND', 'the chain does not tell its time')
      return BigInt(Math.floor(time / 1000))
    },
  }
}
