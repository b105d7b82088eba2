import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { chainClient, jsonFetch } from '../../lib/chain/chain-client.ts'
import { warmKeyMessages } from '../../lib/chain/grants.ts'
import { type JoinRequest, join, type Step } from '../../lib/chain/join.ts'
import { keyOf } from '../../lib/chain/key-file.ts'
import { addressOf, publicKeyOf, randomPrivateKey, verifySignature } from '../../lib/chain/keys.ts'
import { decodeMessage, encodeMessage } from '../../lib/chain/messages.ts'

/** A seed, its chain and an admin API in one, with state that transactions change. */
async function startNetwork() {
  const participants = new Map<string, { inference_url: string; status: string }>()
  const accounts = new Map<string, { number: string; key: boolean; balance: string }>()
  const grants = new Map<string, Set<string>>()
  const feeGrants = new Set<string>()
  const txs = new Map<string, { code: number; raw_log: string }>()
  const nodes: Record<string, unknown>[] = []
  const calls: string[] = []
  const network = {
    participants,
    accounts,
    grants,
    feeGrants,
    txs,
    nodes,
    calls,
    gasNeeded: 0n,
    url: '',
    close: async () => {},
  }

  const apply = (raw: Uint8Array): { code: number; raw_log: string } => {
    const bytes = (value: unknown) => Uint8Array.from(Buffer.from(String(value), 'base64'))
    const tx = decodeMessage('cosmos.tx.v1beta1.TxRaw', raw) as {
      body_bytes: string
      auth_info_bytes: string
      signatures: string[]
    }
    const body = decodeMessage('cosmos.tx.v1beta1.TxBody', bytes(tx.body_bytes)) as {
      messages: Record<string, unknown>[]
      unordered?: boolean
      timeout_timestamp?: { seconds: string }
    }
    const auth = decodeMessage('cosmos.tx.v1beta1.AuthInfo', bytes(tx.auth_info_bytes)) as {
      signer_infos: { public_key: { key: string }; sequence?: string }[]
      fee: { gas_limit: string; amount: { amount: string }[] }
    }
    const publicKey = bytes(auth.signer_infos[0]?.public_key.key)
    const account = accounts.get(addressOf(publicKey))
    const doc = encodeMessage('cosmos.tx.v1beta1.SignDoc', {
      body_bytes: bytes(tx.body_bytes),
      auth_info_bytes: bytes(tx.auth_info_bytes),
      chain_id: 'gonka-mainnet',
      account_number: BigInt(account?.number ?? '0'),
    })
    if (!verifySignature(bytes(tx.signatures[0]), doc, publicKey))
      return { code: 4, raw_log: 'signature verification failed' }
    if (body.unordered !== true || auth.signer_infos[0]?.sequence !== undefined)
      return { code: 5, raw_log: 'not unordered' }
    const left = Number(body.timeout_timestamp?.seconds) - Date.now() / 1000
    if (!(left > 0 && left <= 61)) return { code: 6, raw_log: `timeout in ${left} s` }
    if (BigInt(auth.fee.gas_limit) < network.gasNeeded) return { code: 11, raw_log: 'out of gas in location: x' }
    for (const m of body.messages) {
      const pair = `${m.granter}/${m.grantee}`
      if (m['@type'] === '/cosmos.authz.v1beta1.MsgGrant') {
        const held = grants.get(pair) ?? new Set<string>()
        held.add((m.grant as { authorization: { msg: string } }).authorization.msg)
        grants.set(pair, held)
      } else if (m['@type'] === '/cosmos.feegrant.v1beta1.MsgGrantAllowance') feeGrants.add(pair)
      else if (m['@type'] === '/inference.inference.MsgSubmitNewParticipant') {
        participants.set(String(m.creator), { inference_url: String(m.url), status: 'ACTIVE' })
      }
    }
    return { code: 0, raw_log: '' }
  }

  const route = async (method: string, url: URL, body: Record<string, unknown>): Promise<[number, unknown]> => {
    const path = url.pathname
    const part = (n: number) => path.split('/')[n] ?? ''
    if (method === 'GET' && path.startsWith('/v1/participants/')) {
      const found = participants.get(part(3))
      return found ? [200, { participant: found }] : [404, { error: 'not found' }]
    }
    if (method === 'POST' && path === '/v1/participants') {
      participants.set(String(body.address), { inference_url: String(body.url), status: 'ACTIVE' })
      accounts.set(String(body.address), { number: '9', key: true, balance: '0' })
      return [200, {}]
    }
    if (path.includes('/auth/v1beta1/accounts/')) {
      const found = accounts.get(part(5))
      if (!found) return [404, { code: 5, message: 'account not found' }]
      return [
        200,
        {
          account: {
            '@type': '/x',
            account_number: found.number,
            sequence: '0',
            pub_key: found.key ? { key: 'x' } : null,
          },
        },
      ]
    }
    if (path.includes('/balances/'))
      return [200, { balance: { denom: 'ngonka', amount: accounts.get(part(5))?.balance ?? '0' } }]
    if (path.includes('/authz/')) {
      const held = [...(grants.get(`${url.searchParams.get('granter')}/${url.searchParams.get('grantee')}`) ?? [])]
      const start = Number(url.searchParams.get('pagination.key') ?? 0)
      const page = held
        .slice(start, start + 7)
        .map((msg) => ({ authorization: { msg }, expiration: '2099-01-01T00:00:00Z' }))
      return [200, { grants: page, pagination: { next_key: start + 7 < held.length ? String(start + 7) : null } }]
    }
    if (path.includes('/feegrant/'))
      return feeGrants.has(`${part(5)}/${part(6)}`) ? [200, { allowance: {} }] : [404, { code: 5 }]
    if (path.endsWith('/blocks/latest')) return [200, { block: { header: { time: new Date().toISOString() } } }]
    if (method === 'POST' && path.endsWith('/txs')) {
      const raw = Uint8Array.from(Buffer.from(String(body.tx_bytes), 'base64'))
      const hash = (await import('node:crypto')).createHash('sha256').update(raw).digest('hex').toUpperCase()
      txs.set(hash, apply(raw))
      return [200, { tx_response: { code: 0, txhash: hash } }]
    }
    if (path.includes('/txs/')) {
      const found = txs.get(part(5))
      return found ? [200, { tx_response: found }] : [404, { code: 5 }]
    }
    if (path === '/admin/v1/nodes' && method === 'GET')
      return [200, nodes.map((node) => ({ node, state: { current_status: 'INFERENCE' } }))]
    if (path === '/admin/v1/nodes') {
      if (Object.keys(body.models as object).includes('unknown')) return [400, { error: 'no governance model left' }]
      const i = nodes.findIndex((node) => node.id === body.id)
      if (i >= 0) nodes[i] = body
      else nodes.push(body)
      return [200, body]
    }
    if (path === '/admin/v1/setup/report') return [200, { overall_status: 'PASS' }]
    return [404, { error: path }]
  }

  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (part) => {
      text += part
    })
    request.on('end', async () => {
      const url = new URL(request.url ?? '/', 'http://x')
      const path = url.pathname.replace(/^\/chain-api/, '')
      url.pathname = path
      calls.push(`${request.method} ${path}`)
      const [status, answer] = await route(request.method ?? '', url, text === '' ? {} : JSON.parse(text))
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  network.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  network.close = async () => {
    server.closeAllConnections()
    server.close()
  }
  return network
}

const cold = keyOf(randomPrivateKey())
const warm = addressOf(publicKeyOf(randomPrivateKey()))
const node = {
  id: 'node1',
  host: 'inference',
  inference_port: 5050,
  poc_port: 8080,
  max_concurrent: 500,
  models: { 'org/model': { args: [] } },
  hardware: [{ type: 'NVIDIA H100 80GB HBM3', count: 8 }],
}
const requestTo = (url: string, more: Partial<JoinRequest> = {}): JoinRequest => ({
  url: 'http://203.0.113.5:8000',
  cold,
  warmAddress: warm,
  validatorKey: Buffer.alloc(32, 7).toString('base64'),
  chainId: 'gonka-mainnet',
  gasPrice: 1n,
  admin: { url, node },
  dryRun: false,
  ...more,
})
const runJoin = async (request: JoinRequest, url: string) => {
  const send = jsonFetch(new AbortController().signal)
  const steps: Step[] = []
  await join(request, {
    chain: chainClient(url, send),
    send,
    signal: new AbortController().signal,
    onStep: (step) => void steps.push(step),
    pollMs: 5,
    waitMs: 2000,
  })
  return steps
}
const summary = (steps: readonly Step[]) => steps.map((s) => `${s.step} ${s.status}`)

t.test(
  'a newcomer without funds: registered by the seed, stops at the grants until funded, then goes on',
  async (t) => {
    const net = await startNetwork()
    t.teardown(net.close)
    await t.rejects(runJoin(requestTo(net.url), net.url), { message: /holds 0 ngonka.*fund it/ })
    t.equal(net.participants.get(cold.address)?.inference_url, 'http://203.0.113.5:8000')
    net.accounts.set(cold.address, { number: '9', key: true, balance: '20000000000' })
    t.same(summary(await runJoin(requestTo(net.url), net.url)), [
      'check done',
      'participant already',
      'grants done',
      'announce done',
      'verify done',
    ])
    t.same([...(net.grants.get(`${cold.address}/${warm}`) ?? [])].sort(), [...warmKeyMessages].sort())
    t.ok(net.feeGrants.has(`${cold.address}/${warm}`))
    t.match(net.nodes, [{ ...node, inference_segment: '', poc_segment: '' }])
    const transactions = net.txs.size
    const again = await runJoin(requestTo(net.url), net.url)
    t.same(summary(again), ['check done', 'participant already', 'grants already', 'announce already', 'verify done'])
    t.match(again.at(-1)?.detail, /status INFERENCE, setup report: PASS/)
    t.equal(net.txs.size, transactions, 'repeating sends nothing')
  },
)

t.test('a funded account signs for itself; gas is doubled when it runs out; a lost grant is given again', async (t) => {
  const net = await startNetwork()
  t.teardown(net.close)
  net.accounts.set(cold.address, { number: '42', key: true, balance: '20000000000' })
  net.gasNeeded = 400_000n
  const { admin: _, ...noAdmin } = requestTo(net.url)
  t.same(summary(await runJoin(noAdmin, net.url)), [
    'check done',
    'participant done',
    'grants done',
    'announce skipped',
  ])
  t.equal([...net.txs.values()].filter((tx) => tx.code === 11).length, 1, 'one attempt ran out of gas')
  net.grants.get(`${cold.address}/${warm}`)?.delete('/inference.inference.MsgSubmitSeed')
  const steps = await runJoin(noAdmin, net.url)
  t.match(steps[2]?.detail, /^1 grants to/)
  const moved = await runJoin({ ...noAdmin, url: 'http://203.0.113.6:8000' }, net.url)
  t.equal(moved[1]?.status, 'done')
  t.equal(net.participants.get(cold.address)?.inference_url, 'http://203.0.113.6:8000')
})

t.test('a dry run decodes everything and changes nothing', async (t) => {
  const net = await startNetwork()
  t.teardown(net.close)
  net.accounts.set(cold.address, { number: '42', key: true, balance: '1' })
  const steps = await runJoin(requestTo(net.url, { dryRun: true }), net.url)
  t.same(summary(steps), ['check done', 'participant planned', 'grants planned', 'announce planned'])
  t.match(steps[1]?.plan, {
    body: { messages: [{ '@type': '/inference.inference.MsgSubmitNewParticipant', creator: cold.address }] },
  })
  const plan = steps[2]?.plan as { body: { messages: { '@type': string }[] } }
  t.equal(plan.body.messages.length, 21)
  t.notOk(net.calls.some((call) => call.startsWith('POST')))
  t.notMatch(JSON.stringify(steps), Buffer.from(cold.privateKey).toString('hex'))
})

t.test('what stops a join says why', async (t) => {
  const net = await startNetwork()
  t.teardown(net.close)
  for (const url of ['nonsense', 'ftp://203.0.113.5', 'http://localhost:8000', 'http://192.168.1.4:8000']) {
    await t.rejects(runJoin(requestTo(net.url, { url }), net.url), { code: 'ERR_GK_USAGE' }, url)
  }
  await t.rejects(runJoin(requestTo(net.url, { validatorKey: 'AAAA' }), net.url), { message: /32 bytes/ })
  net.accounts.set(cold.address, { number: '1', key: false, balance: '5' })
  await t.rejects(runJoin(requestTo(net.url), net.url), { message: /does not know its public key/ })
  net.accounts.delete(cold.address)
  net.accounts.set('x', { number: '1', key: true, balance: '0' })
  const { warmAddress: _, ...noWarm } = requestTo(net.url, {
    admin: { url: net.url, node: { ...node, models: { unknown: { args: [] } } } },
  })
  await t.rejects(runJoin(noWarm, net.url), { message: /refuses node node1 \(400\).*governance/ })
  await t.rejects(runJoin(requestTo(net.url), 'http://127.0.0.1:1'), { code: 'ERR_GK_BACKEND' })
})
