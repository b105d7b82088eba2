import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { main } from '../../lib/cli.ts'
import type { Io } from '../../lib/io.ts'
import { removeFolder, startNode } from './peer.ts'

t.setTimeout(120_000)

function ioOf(env: Record<string, string> = {}) {
  const out: string[] = []
  const err: string[] = []
  const io: Io = {
    out: { write: (text) => out.push(text) },
    err: { write: (text) => err.push(text) },
    env,
    signal: new AbortController().signal,
    now: Date.now,
    readInput: async () => '',
    native: () => Promise.reject(new Error('no addon')),
  }
  return { io, out, err }
}

t.test('status of a node, with the published example of the estimate', async (t) => {
  const node = await startNode({ 'listen.token': 'status-token' })
  t.teardown(async () => {
    await node.close()
    removeFolder(node.folder)
  })
  const env = { GONKA_MINER_LISTEN_TOKEN: 'status-token' }
  const locked = ioOf()
  t.equal(await main(['status', '--url', node.url], locked.io), 2)
  t.match(locked.err.join(''), /GONKA_MINER_LISTEN_TOKEN/)
  const plain = ioOf(env)
  t.equal(await main(['status', '--url', node.url], plain.io), 0)
  t.match(plain.out.join(''), /state +INFERENCE, test\/model, PoC IDLE/)
  t.match(plain.out.join(''), /reward +not estimated/)
  const json = ioOf(env)
  const flags = ['--rate', '4736', '--coefficient', '0.3024', '--total-weight', '100000', '--epoch', '403', '--json']
  t.equal(await main(['status', '--url', node.url, ...flags], json.io), 0)
  const { estimate } = JSON.parse(json.out.join(''))
  t.match(estimate, { nonces_per_stage: 12029, weight: 3637, total_weight: 100000, epoch: 403 })
  const share = Number(estimate.reward_ngonka) / Number(estimate.epoch_reward_ngonka)
  t.ok(Math.abs(share - 0.03637) < 1e-9)
  t.equal(estimate.assumptions.length, 5)
  const answers = ['<html>', '{}', '[]', JSON.stringify({ ...JSON.parse(json.out.join('')).node, acknowledged: 'x' })]
  for (const text of answers) {
    const other = createServer((_, response) => response.end(text))
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const foreign = ioOf()
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
    t.equal(await main(['status', '--url', url], foreign.io), 1)
    t.match(foreign.err.join(''), /ERR_GK_BACKEND: .*is it a gonka-miner node/, text.slice(0, 40))
    other.close()
  }
  const none = ioOf()
  t.equal(await main(['status', '--url', 'http://127.0.0.1:1'], none.io), 1)
  t.match(none.err.join(''), /gonka-miner serve/)
})
