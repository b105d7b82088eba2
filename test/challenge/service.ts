/** A challenge service in this process, provers for it, and raw sockets that misbehave. */
import { connect } from 'node:net'
import { keyOf } from '../../lib/chain/key-file.ts'
import { openBook } from '../../lib/challenge/book.ts'
import { type ChallengeServerOptions, startChallengeServer } from '../../lib/challenge/server.ts'
import { loadNative } from '../../lib/native.ts'
import type { NativeDevice } from '../../lib/native-api.ts'
import { createLog } from '../../lib/node/log.ts'
import { levelDatabase } from '../../lib/node/outbox/store.ts'
import { proveThroughput } from '../../lib/proof/prove-throughput.ts'
import { signProof } from '../../lib/proof/sign.ts'
import { targetFor } from '../../lib/protocol/matmul-pow.ts'
import { otherPrivateKey, privateKey, smallMatmulPow } from '../proof/samples.ts'

export const issuer = keyOf(otherPrivateKey)
export const prover = keyOf(privateKey)
export const smallJob = { profile: 'i4', m: 128, n: 128, k: 256 } as const

export interface ServiceOptions extends Partial<ChallengeServerOptions> {
  readonly folder: string
  readonly maxOpen?: number
}

export async function startService({ folder, maxOpen = 1000, ...given }: ServiceOptions) {
  const lifetimeMs = given.lifetimeMs ?? 60_000
  const now = given.now ?? Date.now
  const book = await openBook({ database: levelDatabase(folder), lifetimeMs, maxOpen, keepMs: 3_600_000, now })
  const server = await startChallengeServer({
    key: issuer,
    book,
    checkShares: (...request) => loadNative().checkShares(...request),
    log: createLog('silent', { write: () => undefined }),
    host: '127.0.0.1',
    port: 0,
    lifetimeMs,
    maxShares: 1000,
    sample: 'all',
    perMinute: Number.POSITIVE_INFINITY,
    now,
    ...given,
  })
  return {
    url: server.url,
    book,
    async close() {
      await server.close()
      await book.close()
    },
  }
}

export async function issue(url: string, publicKey?: string): Promise<string> {
  const body = publicKey === undefined ? '' : JSON.stringify({ public_key: publicKey })
  const answer = await fetch(`${url}/v1/challenges`, { method: 'POST', body })
  if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`)
  return ((await answer.json()) as { challenge: string }).challenge
}

export async function proofFor(
  device: NativeDevice,
  challenge: string,
  { shares = 4, key = prover }: { shares?: number; key?: typeof prover } = {},
): Promise<Uint8Array> {
  const bytes = Uint8Array.from(Buffer.from(challenge, 'hex'))
  return (await proveThroughput({ ...smallJob, device, key, seconds: 0.01, shares, challenge: bytes })).bytes
}

/** As proofFor, of four shares, without the trial that takes it 0.05 s: every other tile wins. */
export async function quickProofFor(device: NativeDevice, challenge: string): Promise<Uint8Array> {
  const bytes = Uint8Array.from(Buffer.from(challenge, 'hex'))
  const job = { ...smallJob, shares: 4, target: targetFor(0.5), challenge: bytes, publicKey: prover.publicKey }
  const found: [bigint, number, number][] = []
  for (let firstNonce = 0n; found.length < 4; firstNonce++)
    await device.matmulPow({ job, firstNonce, nonceCount: 1 }, (nonces, bi, bj) => {
      for (const [i, nonce] of nonces.entries()) found.push([nonce, bi[i] as number, bj[i] as number])
    })
  const shares = found.slice(0, 4)
  const statement = {
    ...smallMatmulPow.statement,
    ...job,
    nonces: BigUint64Array.from(shares, ([nonce]) => nonce),
    bi: Uint32Array.from(shares, ([, bi]) => bi),
    bj: Uint32Array.from(shares, ([, , bj]) => bj),
  }
  return signProof({ ...smallMatmulPow, statement }, privateKey)
}

export interface Answer {
  readonly status: number
  readonly code: string | undefined
  readonly body: Uint8Array
}

export async function submit(url: string, challenge: string, proof: Uint8Array): Promise<Answer> {
  const answer = await fetch(`${url}/v1/challenges/${challenge}/proof`, {
    method: 'POST',
    body: Uint8Array.from(proof),
    headers: { 'content-type': 'application/octet-stream' },
  })
  const body = new Uint8Array(await answer.arrayBuffer())
  const json = (answer.headers.get('content-type') ?? '').includes('json')
  const code = json ? (JSON.parse(Buffer.from(body).toString()) as { code: string }).code : undefined
  return { status: answer.status, code, body }
}

/** Sends a request byte by byte and never ends it; resolves once the other side has closed the connection. */
export function dripRequest(url: string, text: string): Promise<void> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    let sent = 0
    const socket = connect(Number(port), hostname)
    const timer = setInterval(() => socket.write(text[sent++ % text.length] as string), 250)
    socket.on('data', () => undefined)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearInterval(timer)
      resolve()
    })
  })
}

/** Sends these bytes and resolves with all that came back once the connection is closed. */
export function rawRequest(url: string, text: string | Uint8Array, hangUp = false): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(Number(port), hostname, () => {
      socket.write(text)
      if (hangUp) setTimeout(() => socket.destroy(), 20)
    })
    socket.on('data', (part) => {
      answer += part.toString('latin1')
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answer))
  })
}
