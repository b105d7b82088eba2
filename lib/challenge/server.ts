/**
 * The challenge service over HTTP. Bodies and answers are JSON unless stated; refusals are {"code", "message"}.
 *
 *   GET  /v1/info                          {"public_key", "address", "lifetime_seconds", "max_shares", "max_proof_bytes"}
 *   POST /v1/challenges                    {"public_key"?: hex of the only key to accept} -> 201 {"challenge",
 *                                          "issued_unix_ms", "expires_unix_ms", "public_key" of the issuer}
 *   GET  /v1/challenges/:challenge         {"state": "open" | "certified", ...}; 404 if neither
 *   POST /v1/challenges/:challenge/proof   the bytes of a proof file -> 201 the bytes of the certificate; 200 where the
 *                                          same proof was certified before; 409 where another one was, 410 too late, 422
 *                                          not valid, 503 busy: the time of arrival of a refused submission is lost
 *   GET  /v1/challenges/:challenge/certificate   the bytes of the certificate
 */
import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Key } from '../chain/key-file.ts'
import { isPublicKey } from '../chain/keys.ts'
import { isGonkaError, messageOf } from '../errors.ts'
import type { Log } from '../node/log.ts'
import { openCertificate, signCertificate } from '../proof/certificate.ts'
import { decodePayload, decodeProofFile } from '../proof/codec.ts'
import type { MatmulPowStatement } from '../proof/payload.ts'
import type { CheckShares } from '../proof/recompute-tickets.ts'
import { verifyProof } from '../proof/verify.ts'
import type { ChallengeBook, OpenChallenge } from './book.ts'
import { byteBudget, oneAtATime, rateLimit } from './limits.ts'

export interface ChallengeServerOptions {
  /** Signs certificates. */
  readonly key: Key
  readonly book: ChallengeBook
  readonly checkShares: CheckShares
  readonly log: Log
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly lifetimeMs: number
  /** Most shares of a proof; larger proofs are refused. */
  readonly maxShares: number
  /** Shares recomputed of each proof. */
  readonly sample: number | 'all'
  /** POST requests a minute from one address. */
  readonly perMinute: number
  /** Take the caller's address from X-Forwarded-For: for a service behind a proxy. */
  readonly trustProxy?: boolean
  readonly now?: () => number
  /** Milliseconds that a whole request may take to arrive; 30 000 if absent. */
  readonly requestTimeoutMs?: number
}

export interface ChallengeServer {
  readonly url: string
  close(): Promise<void>
}

/** Of proof bodies held at a time, in all connections together. */
const heldBytes = 64 * 2 ** 20
const maxConnections = 4096
/** Wrong proofs for one challenge; then it is closed. */
const maxRefusals = 8
const sweepMs = 30_000

/** A share takes at most 20 bytes, everything else in a proof a few kilobytes. */
export const proofBytesFor = (shares: number): number => 8192 + 20 * shares

class Refusal extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

interface Arrival {
  readonly unixMs: number
  readonly at: number
}

/** Starts to listen. Closing waits for the checks under way; the book stays open. */
export async function startChallengeServer(options: ChallengeServerOptions): Promise<ChallengeServer> {
  const { book, log, now = Date.now } = options
  const bodyLimit = proofBytesFor(options.maxShares)
  const app = Fastify({
    logger: false,
    bodyLimit,
    requestTimeout: options.requestTimeoutMs ?? 30_000,
    keepAliveTimeout: 5000,
    forceCloseConnections: true,
    trustProxy: options.trustProxy === true,
    routerOptions: { maxParamLength: 64 },
    http: {
      headersTimeout: Math.min(10_000, options.requestTimeoutMs ?? 10_000),
      connectionsCheckingInterval: Math.min(2000, options.requestTimeoutMs ?? 2000),
    },
  } as object) as unknown as FastifyInstance
  app.server.maxConnections = maxConnections
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  app.setNotFoundHandler(async () => {
    throw new Refusal(404, 'not_found', 'there is nothing here')
  })
  app.setErrorHandler(async (error: Error & { statusCode?: number; code?: string }, request, reply) => {
    // A caller that is still sending what nobody wants to read is hung up on.
    if (!request.raw.complete) reply.header('connection', 'close')
    if (error instanceof Refusal) return reply.code(error.status).send({ code: error.code, message: error.message })
    const status = error.statusCode ?? 500
    if (status < 500) return reply.code(status).send({ code: error.code ?? 'bad_request', message: error.message })
    log.error({ error: messageOf(error), stack: error.stack }, 'a request failed inside the service')
    return reply.code(500).send({ code: 'internal', message: 'the service failed; try again' })
  })

  const allow = rateLimit(options.perMinute)
  app.addHook('onRequest', async (request, reply) => {
    if (request.method !== 'POST') return
    const seconds = allow(request.ip)
    if (seconds === 0) return
    reply.header('retry-after', String(seconds))
    throw new Refusal(429, 'too_many_requests', `too many requests from ${request.ip}; try again in ${seconds} s`)
  })

  addInfoRoutes(app, options, bodyLimit)
  addProofRoute(app, options, bodyLimit, now)

  const sweeper = setInterval(() => {
    book
      .sweep()
      .catch((error: unknown) => log.error({ error: messageOf(error) }, 'old challenges could not be deleted'))
  }, sweepMs)
  sweeper.unref()
  try {
    await app.listen({ host: options.host, port: options.port })
  } catch (error) {
    clearInterval(sweeper)
    throw error
  }
  const address = app.server.address() as AddressInfo
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${host}:${address.port}`,
    async close() {
      clearInterval(sweeper)
      await app.close()
    },
  }
}

const issueBody = z.strictObject({
  public_key: z
    .string()
    .regex(/^[0-9a-fA-F]{66}$/, 'expected 66 hexadecimal digits')
    .refine((text) => isPublicKey(Buffer.from(text, 'hex')), 'not a compressed secp256k1 key')
    .optional(),
})

function addInfoRoutes(app: FastifyInstance, options: ChallengeServerOptions, maxProofBytes: number): void {
  const { key, book, lifetimeMs, maxShares } = options
  const issuer = hex(key.publicKey)
  app.get('/v1/info', async () => ({
    public_key: issuer,
    address: key.address,
    lifetime_seconds: lifetimeMs / 1000,
    max_shares: maxShares,
    max_proof_bytes: maxProofBytes,
  }))
  app.post('/v1/challenges', async (request, reply) => {
    const body = request.body as Buffer | undefined
    const parsed = issueBody.safeParse(body === undefined || body.length === 0 ? {} : parseJson(body))
    if (!parsed.success) {
      const [issue] = parsed.error.issues
      throw new Refusal(400, 'bad_request', `${issue?.path.join('.') || 'body'}: ${issue?.message}`)
    }
    const issued = await book.issue(parsed.data.public_key?.toLowerCase())
    if (issued === undefined) throw busy(reply, 'no more challenges can be open; try again later')
    const { challenge, issuedUnixMs, expiresUnixMs } = issued
    reply.code(201)
    return { challenge, issued_unix_ms: issuedUnixMs, expires_unix_ms: expiresUnixMs, public_key: issuer }
  })
  app.get('/v1/challenges/:challenge', async (request) => {
    const challenge = challengeOf(request)
    const open = book.find(challenge)
    if (open) return { state: 'open', issued_unix_ms: open.issuedUnixMs, expires_unix_ms: open.expiresUnixMs }
    if (await book.certificate(challenge)) return { state: 'certified' }
    throw unknown()
  })
  app.get('/v1/challenges/:challenge/certificate', async (request, reply) => {
    const certificate = await book.certificate(challengeOf(request))
    if (certificate === undefined) throw unknown()
    return sendBytes(reply, 200, certificate)
  })
}

function addProofRoute(app: FastifyInstance, options: ChallengeServerOptions, limit: number, now: () => number): void {
  const { book } = options
  const budget = byteBudget(Math.max(heldBytes, limit))
  const inTurn = oneAtATime()
  const refusals = new Map<string, number>()

  /** The certificate of the challenge where this very proof has earned it; refuses where another one has. */
  const earlier = async (challenge: string, proof: Uint8Array): Promise<Uint8Array | undefined> => {
    const certificate = await book.certificate(challenge)
    if (certificate === undefined) return undefined
    const { proofSha256 } = openCertificate(certificate).certificate
    if (Buffer.compare(proofSha256, sha256(proof)) === 0) return certificate
    throw new Refusal(409, 'challenge_used', 'the challenge has been answered by another proof')
  }

  const refuse = async (open: OpenChallenge, code: string, message: string): Promise<never> => {
    const count = (refusals.get(open.challenge) ?? 0) + 1
    refusals.set(open.challenge, count)
    if (count >= maxRefusals) {
      refusals.delete(open.challenge)
      await book.drop(open.challenge)
    }
    // Counts of challenges that are gone are of no use.
    for (const known of refusals.keys()) if (book.find(known) === undefined) refusals.delete(known)
    throw new Refusal(422, code, message)
  }

  const check = async (open: OpenChallenge, proof: Uint8Array, arrival: Arrival): Promise<Uint8Array> => {
    const late = lateness(open, arrival)
    if (late > 0) throw new Refusal(410, 'too_late', `the proof arrived ${late} ms after the challenge had expired`)
    const statement = await read(proof, (code, message) => refuse(open, code, message))
    const verified = await verifyProof(proof, {
      device: async () => {
        throw new Error('matmul-pow needs no device')
      },
      checkShares: options.checkShares,
      sample: options.sample,
      expect: {
        challenge: open.challenge,
        ...(open.publicKey === undefined ? {} : { publicKey: open.publicKey }),
      },
    })
    const { problem, recomputation } = verified
    if (problem || !recomputation) return refuse(open, problem?.code ?? 'not_valid', problem?.message ?? 'not valid')
    const { kind: _, nonces: __, bi: ___, bj: ____, ...job } = statement
    const certificate = signCertificate(
      {
        proofSha256: sha256(proof),
        job,
        issuedUnixMs: BigInt(open.issuedUnixMs),
        receivedUnixMs: BigInt(Math.max(arrival.unixMs, open.issuedUnixMs)),
        elapsedNs: elapsedNs(open, arrival),
        checked: recomputation.computed,
      },
      options.key.privateKey,
    )
    await book.certify(open.challenge, certificate)
    refusals.delete(open.challenge)
    options.log.info({ challenge: open.challenge, shares: job.shares, prover: hex(job.publicKey) }, 'certified')
    return certificate
  }

  const read = async (
    proof: Uint8Array,
    wrong: (code: string, message: string) => Promise<never>,
  ): Promise<MatmulPowStatement> => {
    try {
      const { statement } = decodePayload(decodeProofFile(proof).payload)
      if (statement.kind !== 'matmul_pow') return await wrong('ERR_GK_PROOF_PARAMS', 'not a matmul-pow proof')
      if (statement.shares > options.maxShares) {
        return await wrong(
          'ERR_GK_PROOF_PARAMS',
          `${statement.shares} shares; at most ${options.maxShares} are checked`,
        )
      }
      return statement
    } catch (error) {
      if (!isGonkaError(error)) throw error
      return wrong(error.code, error.message)
    }
  }

  app.post(
    '/v1/challenges/:challenge/proof',
    {
      // Before the body is read: what nobody has room for is refused unread.
      onRequest: async (request, reply) => {
        const length = Number(request.headers['content-length'])
        if (!Number.isSafeInteger(length)) throw new Refusal(411, 'length_required', 'expected a content-length')
        if (length > limit) throw new Refusal(413, 'too_large', `${length} bytes; at most ${limit} are accepted`)
        const challenge = challengeOf(request)
        if (book.find(challenge) === undefined && (await book.certificate(challenge)) === undefined) throw unknown()
        const giveBack = budget.take(length)
        if (giveBack === undefined) throw busy(reply, 'too many proofs at a time')
        reply.raw.once('close', giveBack)
      },
    },
    async (request, reply) => {
      const arrival = { unixMs: now(), at: performance.now() }
      const challenge = challengeOf(request)
      const proof = Uint8Array.from((request.body as Buffer | undefined) ?? [])
      const done = await earlier(challenge, proof)
      if (done) return sendBytes(reply, 200, done)
      return inTurn(async () => {
        // Another submission may have ended the challenge while this one waited.
        const open = book.find(challenge)
        if (open) return sendBytes(reply, 201, await check(open, proof, arrival))
        const meanwhile = await earlier(challenge, proof)
        if (meanwhile) return sendBytes(reply, 200, meanwhile)
        throw unknown()
      })
    },
  )
}

/** Milliseconds by which the proof missed the challenge's end; 0 or less if it did not. */
function lateness(open: OpenChallenge, arrival: Arrival): number {
  const lifetime = open.expiresUnixMs - open.issuedUnixMs
  return Math.ceil(Number(elapsedNs(open, arrival)) / 1e6 - lifetime)
}

/** The larger of both clocks: one of them may have been set back, or not have run all the time. */
function elapsedNs(open: OpenChallenge, arrival: Arrival): bigint {
  const wall = BigInt(arrival.unixMs - open.issuedUnixMs) * 1_000_000n
  const monotonic = open.issuedAt === undefined ? 0n : BigInt(Math.round((arrival.at - open.issuedAt) * 1e6))
  return [wall, monotonic, 1n].reduce((a, b) => (b > a ? b : a))
}

function challengeOf(request: FastifyRequest): string {
  const { challenge } = request.params as { challenge: string }
  if (!/^[0-9a-f]{64}$/.test(challenge)) throw new Refusal(400, 'bad_request', 'expected a challenge of 64 hex digits')
  return challenge
}

function unknown(): Refusal {
  return new Refusal(404, 'unknown_challenge', 'no such challenge: it was never issued, has expired, or was closed')
}

function busy(reply: FastifyReply, message: string): Refusal {
  reply.header('retry-after', '1')
  return new Refusal(503, 'busy', message)
}

function sendBytes(reply: FastifyReply, status: number, bytes: Uint8Array): FastifyReply {
  return reply.code(status).type('application/octet-stream').send(Buffer.from(bytes))
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw new Refusal(400, 'bad_request', 'the body is not JSON')
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
