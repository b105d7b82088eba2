/**
 * Challenges that await their proof, and the certificates of those that were answered. Both are on disk before anybody
 * is told of them, and a challenge turns into its certificate in one atomic write: whatever ends the process, a challenge
 * is open or certified, never both and never neither.
 */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { GonkaError } from '../errors.ts'
import { type Database, openStore, type Store } from '../node/outbox/store.ts'

export interface OpenChallenge {
  /** 64 hex digits. */
  readonly challenge: string
  readonly issuedUnixMs: number
  readonly expiresUnixMs: number
  /** Hex of the only key whose proof is accepted; any key's if absent. */
  readonly publicKey?: string
  /** performance.now() at issue; absent if that was in an earlier process. */
  readonly issuedAt?: number
}

export interface BookOptions {
  readonly database: Database
  /** Milliseconds until an unanswered challenge expires. */
  readonly lifetimeMs: number
  /** Most challenges that are open at a time. */
  readonly maxOpen: number
  /** Milliseconds for which certificates are kept. */
  readonly keepMs: number
  readonly now?: () => number
}

export interface ChallengeBook {
  /** A fresh challenge, already on disk; undefined if as many are open as may be, or the disk refuses writes. */
  issue(publicKey?: string): Promise<OpenChallenge | undefined>
  /** undefined if it is not open: unknown, certified, dropped, or expired and swept away. */
  find(challenge: string): OpenChallenge | undefined
  /** Ends the challenge with its certificate; resolves when both are on disk. */
  certify(challenge: string, certificate: Uint8Array): Promise<void>
  /** Ends the challenge without one. */
  drop(challenge: string): Promise<void>
  certificate(challenge: string): Promise<Uint8Array | undefined>
  /** Deletes what has expired. */
  sweep(): Promise<void>
  open(): number
  /** False while the disk refuses writes. */
  healthy(): boolean
  close(): Promise<void>
}

const record = z.strictObject({
  issuedUnixMs: z.number(),
  expiresUnixMs: z.number(),
  publicKey: z.string().optional(),
})
const openPrefix = 'open/'
const certificatePrefix = 'certificate/'
/** Certificates by the time they were written, so that old ones are found without reading all. */
const agePrefix = 'age/'
const ageKey = (unixMs: number, challenge: string) => `${agePrefix}${String(unixMs).padStart(16, '0')}/${challenge}`
const sweepAtOnce = 1000

/** Throws ERR_GK_FILE if the database cannot be opened or holds something else. */
export async function openBook(options: BookOptions): Promise<ChallengeBook> {
  const { lifetimeMs, maxOpen, keepMs, now = Date.now } = options
  const store = await openStore(options.database)
  const open = await readOpen(store)
  const key = (challenge: string) => `${openPrefix}${challenge}`
  return {
    async issue(publicKey) {
      if (open.size >= maxOpen || store.health().degraded) return undefined
      const issuedUnixMs = now()
      const issued: OpenChallenge = {
        challenge: randomBytes(32).toString('hex'),
        issuedUnixMs,
        expiresUnixMs: issuedUnixMs + lifetimeMs,
        issuedAt: performance.now(),
        ...(publicKey === undefined ? {} : { publicKey }),
      }
      open.set(issued.challenge, issued)
      const { challenge: _, issuedAt: __, ...kept } = issued
      await store.write([[key(issued.challenge), Buffer.from(JSON.stringify(kept))]])
      return issued
    },
    find: (challenge) => open.get(challenge),
    async certify(challenge, certificate) {
      open.delete(challenge)
      await store.write([
        [key(challenge), null],
        [`${certificatePrefix}${challenge}`, certificate],
        [ageKey(now(), challenge), new Uint8Array()],
      ])
    },
    async drop(challenge) {
      open.delete(challenge)
      await store.write([[key(challenge), null]])
    },
    certificate: (challenge) => store.read(`${certificatePrefix}${challenge}`),
    async sweep() {
      const time = now()
      const gone: [string, null][] = []
      for (const [challenge, { expiresUnixMs }] of open) {
        // A proof that arrived in time may still be under check.
        if (time < expiresUnixMs + lifetimeMs) continue
        open.delete(challenge)
        gone.push([key(challenge), null])
      }
      for (const [aged] of await store.list(agePrefix, sweepAtOnce)) {
        const [, written, challenge] = aged.split('/') as [string, string, string]
        if (Number(written) > time - keepMs) break
        gone.push([aged, null], [`${certificatePrefix}${challenge}`, null])
      }
      if (gone.length > 0) await store.write(gone)
    },
    open: () => open.size,
    healthy: () => !store.health().degraded,
    close: () => store.close(),
  }
}

async function readOpen(store: Store): Promise<Map<string, OpenChallenge>> {
  const open = new Map<string, OpenChallenge>()
  for (const [name, bytes] of await store.list(openPrefix)) {
    const parsed = record.safeParse(parseJson(bytes))
    if (!parsed.success) throw new GonkaError('ERR_GK_FILE', `the store of challenges holds an unreadable ${name}`)
    const challenge = name.slice(openPrefix.length)
    const { publicKey, ...times } = parsed.data
    open.set(challenge, { challenge, ...times, ...(publicKey === undefined ? {} : { publicKey }) })
  }
  return open
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return undefined
  }
}
