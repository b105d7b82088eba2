/** Checks of what a host needs around its node: a seed, an account, the admin API, upstreams, the callback address. */
import { lookup } from 'node:dns/promises'
import { at, type ChainClient, chainClient, type Fetch } from '../chain/chain-client.ts'
import { messageOf } from '../errors.ts'
import { addressRule } from '../node/address-rule.ts'
import { type Check, failure, ok, warning } from './check.ts'

/** Requests between hosts are refused beyond 5 minutes, transactions after one. */
const skewLimitS = 30
/** What a host should hold to start with, ngonka. */
const wantedBalance = 10n ** 9n

const trim = (url: string) => url.replace(/\/+$/, '')

export async function checkSeed(
  send: Fetch,
  url: string,
  address: string | undefined,
  models: readonly string[],
  nowMs: number,
): Promise<Check[]> {
  const seed = trim(url)
  const chain = chainClient(seed, send)
  let blockTime: bigint
  try {
    blockTime = await chain.blockTime()
  } catch (error) {
    return [
      failure(
        'seed',
        `${seed}: ${messageOf(error)}`,
        `curl -i ${seed}/chain-api/cosmos/base/tendermint/v1beta1/blocks/latest`,
      ),
    ]
  }
  const checks = [ok('seed', seed), checkBlockTime(Number(blockTime), nowMs)]
  if (address !== undefined) checks.push(...(await guarded('account', seed, () => checkAccount(chain, address))))
  if (models.length > 0) checks.push(...(await guarded('models', seed, () => checkModels(send, seed, models))))
  return checks
}

/** The seed answered a moment ago: what fails now is a finding, not the end of the others. */
async function guarded(name: string, seed: string, look: () => Promise<Check[]>): Promise<Check[]> {
  try {
    return await look()
  } catch (error) {
    return [warning(name, messageOf(error), `curl -i ${seed}/v1/status`)]
  }
}

function checkBlockTime(seconds: number, nowMs: number): Check {
  const ahead = nowMs / 1000 - seconds
  const detail = `this clock is ${Math.abs(Math.round(ahead))} s ${ahead < 0 ? 'behind' : 'ahead of'} the latest block`
  if (ahead < -skewLimitS) return failure('chain time', detail, 'sudo timedatectl set-ntp true')
  // Ahead may as well be a chain that stands still, or a seed that lags.
  if (ahead > 2 * skewLimitS) {
    return warning('chain time', `${detail}: the seed lags or this clock is fast`, 'timedatectl status')
  }
  return ok('chain time', detail)
}

async function checkAccount(chain: ChainClient, address: string): Promise<Check[]> {
  const [participant, account, balance] = await Promise.all([
    chain.participant(address),
    chain.account(address),
    chain.balance(address),
  ])
  const checks: Check[] = []
  if (participant === undefined) checks.push(failure('participant', `${address} is not registered`, 'gonka-miner join'))
  else checks.push(ok('participant', `registered with ${participant.url}`))
  if (account !== undefined && !account.hasPublicKey) {
    const detail = 'the chain does not know the key of the account: validators skip its artifacts'
    checks.push(failure('account key', detail, 'gonka-miner join'))
  }
  if (balance < wantedBalance) {
    const fix = `inferenced tx bank send FUNDED ${address} 20000000000ngonka`
    checks.push(warning('balance', `${balance} ngonka; commitments pay fees`, fix))
  } else checks.push(ok('balance', `${balance} ngonka`))
  return checks
}

async function checkModels(send: Fetch, seed: string, models: readonly string[]): Promise<Check[]> {
  const answer = await send('GET', `${seed}/chain-api/productscience/inference/inference/models_all`)
  const listed = at(answer.json, 'model')
  if (answer.status !== 200 || !Array.isArray(listed)) return []
  const known = new Set(listed.map((model) => String(at(model, 'id'))))
  return models.map((model) =>
    known.has(model)
      ? ok(`model ${model}`, 'is one of the network')
      : failure(`model ${model}`, `the network knows only ${[...known].join(', ')}`, `curl ${seed}/v1/models`),
  )
}

export async function checkAdmin(send: Fetch, url: string): Promise<Check[]> {
  const admin = trim(url)
  let nodes: unknown
  try {
    const answer = await send('GET', `${admin}/admin/v1/nodes`)
    if (answer.status !== 200) {
      return [failure('admin API', `${admin} answers ${answer.status}`, `curl -i ${admin}/admin/v1/nodes`)]
    }
    nodes = answer.json
  } catch (error) {
    return [failure('admin API', messageOf(error), 'docker compose ps api')]
  }
  const listed = at(nodes, 'nodes') ?? nodes
  const list: unknown[] = Array.isArray(listed) ? listed : []
  if (list.length === 0)
    return [failure('admin API', 'the network node knows no ML node', 'gonka-miner join --admin URL')]
  const failed = list.filter((node) =>
    /FAILED|^5$/.test(String(at(node, 'state', 'current_status') ?? at(node, 'status') ?? '')),
  )
  if (failed.length > 0) {
    const ids = failed.map((node) => String(at(node, 'node', 'id') ?? at(node, 'id'))).join(', ')
    const detail = `the network node cannot use ${ids}: it does not answer there or serves another model`
    return [failure('admin API', detail, `curl ${admin}/admin/v1/nodes`)]
  }
  return [ok('admin API', `${list.length} ML ${list.length === 1 ? 'node' : 'nodes'} registered`)]
}

/** `upstream` is a base URL of engine.upstream. */
export async function checkUpstream(send: Fetch, upstream: string): Promise<Check> {
  const base = trim(upstream)
  const name = `upstream ${base}`
  try {
    const health = await send('GET', `${base}/health`)
    if (health.status !== 200) return failure(name, `its health is ${health.status}`, `curl -i ${base}/health`)
    const poc = await send('GET', `${base}/api/v1/pow/status`)
    if (poc.status !== 404) return ok(name, 'healthy, computes PoC')
    return failure(
      name,
      'serves a model but no PoC routes: its PoC plugin is missing',
      `curl -i ${base}/api/v1/pow/status`,
    )
  } catch (error) {
    return failure(name, messageOf(error), `curl -i ${base}/health`)
  }
}

/** Whether callbacks to this URL are allowed and arrive anywhere. Any answer will do: the routes take POST only. */
export async function checkCallbackUrl(send: Fetch, url: string, allow: readonly string[]): Promise<Check> {
  const rule = addressRule(allow)
  let host: string
  try {
    host = rule.checkUrl(url).hostname.replace(/^\[|\]$/g, '')
  } catch (error) {
    return failure('callback', messageOf(error), `gonka-miner serve --callbacks-allow ${[...allow, 'HOST'].join(',')}`)
  }
  try {
    const addresses = await lookup(host, { all: true })
    if (!addresses.some(({ address }) => rule.allows(address, host))) {
      const detail = `${host} is ${addresses.map((a) => a.address).join(', ')}, which callbacks.allow does not name`
      return failure('callback', detail, `gonka-miner serve --callbacks-allow ${[...allow, host].join(',')}`)
    }
    await send('GET', url)
  } catch (error) {
    return failure('callback', messageOf(error), `curl -i ${url}`)
  }
  return ok('callback', `${url} answers`)
}
