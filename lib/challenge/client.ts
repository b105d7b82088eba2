/** Asking a challenge service for a challenge and for the certificate of a proof. */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { GonkaError, messageOf, throwIfAborted } from '../errors.ts'
import { certificateLimit } from '../proof/certificate.ts'

export interface IssuedChallenge {
  /** 32 bytes. */
  readonly challenge: Uint8Array
  readonly expiresUnixMs: number
  /** Hex of the key that will sign the certificate. */
  readonly issuer: string
}

export interface ChallengeClient {
  /** publicKey: the key whose proof will answer. Throws ERR_GK_CHALLENGE, ERR_GK_CANCELLED. */
  issue(publicKey: Uint8Array, signal?: AbortSignal): Promise<IssuedChallenge>
  /**
   * The bytes of the certificate. A service that is busy or does not answer is asked again, for `patienceMs`, by default
   * two minutes: a proof that it has certified gets the same certificate again. Throws ERR_GK_CHALLENGE with the
   * service's words, ERR_GK_CANCELLED.
   */
  certify(
    issued: IssuedChallenge,
    proof: Uint8Array,
    options?: { readonly signal?: AbortSignal; readonly patienceMs?: number },
  ): Promise<Uint8Array>
}

const answerMs = 60_000
const answerLimit = 65_536
const issueAnswer = z.object({
  challenge: z.string().regex(/^[0-9a-f]{64}$/),
  expires_unix_ms: z.number(),
  public_key: z.string().regex(/^[0-9a-f]{66}$/),
})
const refusalAnswer = z.object({ code: z.string(), message: z.string() })

/** url: "http://127.0.0.1:8790"; a path in it is kept. Throws ERR_GK_USAGE for anything else. */
export function challengeClient(url: string): ChallengeClient {
  const base = baseOf(url)
  return {
    async issue(publicKey, signal) {
      const answer = await send(`${base}/v1/challenges`, JSON.stringify({ public_key: hex(publicKey) }), signal)
      if (answer.status !== 201) throw refused(base, answer)
      const parsed = issueAnswer.safeParse(parseJson(answer.body))
      if (!parsed.success) throw new GonkaError('ERR_GK_CHALLENGE', `${base} does not answer as a challenge service`)
      if (parsed.data.public_key === hex(publicKey)) {
        throw new GonkaError(
          'ERR_GK_CHALLENGE',
          `${base} certifies with the very key that proves, which vouches for nothing: use another key for one of them`,
        )
      }
      return {
        challenge: Uint8Array.from(Buffer.from(parsed.data.challenge, 'hex')),
        expiresUnixMs: parsed.data.expires_unix_ms,
        issuer: parsed.data.public_key,
      }
    },
    async certify({ challenge }, proof, { signal, patienceMs = 120_000 } = {}) {
      const until = performance.now() + patienceMs
      for (let waitMs = 250; ; waitMs = Math.min(5000, 2 * waitMs)) {
        const answer = await send(
          `${base}/v1/challenges/${hex(challenge)}/proof`,
          Uint8Array.from(proof),
          signal,
        ).catch((error: unknown) => {
          throwIfAborted(signal)
          if (performance.now() >= until) throw error
          return undefined
        })
        if (answer && (answer.status === 200 || answer.status === 201) && answer.body.length <= certificateLimit) {
          return Uint8Array.from(answer.body)
        }
        const again = !answer || answer.status === 429 || answer.status >= 500
        if (!again || performance.now() >= until) throw refused(base, answer)
        // A date, which HTTP also allows, is as good as none.
        const asked = (Number(answer?.headers.get('retry-after') ?? 0) || 0) * 1000
        await sleep(Math.max(waitMs, Math.min(asked, 30_000)), undefined, signal ? { signal } : {}).catch(() =>
          throwIfAborted(signal),
        )
      }
    },
  }
}

function baseOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.search !== '' || parsed.hash !== '') {
    throw new GonkaError(
      'ERR_GK_USAGE',
      `challenge service ${JSON.stringify(url)}: expected http://HOST:PORT or https://HOST`,
    )
  }
  return parsed.href.replace(/\/+$/, '')
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

async function send(
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  const timeout = AbortSignal.timeout(answerMs)
  try {
    const response = await fetch(url, {
      method: 'POST',
      body,
      headers: { 'content-type': typeof body === 'string' ? 'application/json' : 'application/octet-stream' },
      redirect: 'error',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
    return { status: response.status, headers: response.headers, body: await bounded(response) }
  } catch (error) {
    throwIfAborted(signal)
    const cause = (error as { cause?: unknown }).cause
    throw new GonkaError('ERR_GK_CHALLENGE', `${url}: ${messageOf(cause ?? error)}`, { cause: error })
  }
}

async function bounded(response: Response): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of response.body ?? []) {
    size += part.length
    if (size > answerLimit) throw new Error(`an answer of more than ${answerLimit} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function refused(base: string, answer: Answer | undefined): GonkaError {
  if (answer === undefined) return new GonkaError('ERR_GK_CHALLENGE', `${base} does not answer`)
  const parsed = refusalAnswer.safeParse(parseJson(answer.body))
  const words = parsed.success ? `${parsed.data.code}: ${parsed.data.message}` : 'no reason given'
  return new GonkaError('ERR_GK_CHALLENGE', `${base} answers ${answer.status}: ${words}`)
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
