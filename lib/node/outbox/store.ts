// Durable key-value storage with group commit. Writes of about the same time share one flush to disk, applied as one
// atomic batch; within a flush the last write of a key wins.
//
// When the disk refuses writes (full, read-only, gone) nothing is lost while the process lives: writes stay pending in
// memory, readers see them, and the store keeps trying, reopening the database since it refuses writes after an error.

import { ClassicLevel } from 'classic-level'
import { GonkaError, messageOf } from '../../errors.ts'

export interface StoreHealth {
  /** True while the last flush failed. */
  readonly degraded: boolean
  readonly error: string | null
  /** Writes not yet on disk, bytes. */
  readonly pendingBytes: number
}

export interface Store {
  /** Queues writes (null deletes) and resolves when they are on disk. Never rejects while the store is open; callers that
   *  must not wait for a broken disk look at health(). */
  write(entries: readonly (readonly [key: string, value: Uint8Array | null])[]): Promise<void>
  read(key: string): Promise<Uint8Array | undefined>
  /** Entries whose key starts with prefix, in key order, up to `limit`. */
  list(prefix: string, limit?: number): Promise<[string, Uint8Array][]>
  health(): StoreHealth
  /** As write, but resolves also when a flush fails, at once while the last one did: for callers that must not wait for a
   *  disk that may never return. */
  offer(entries: readonly (readonly [key: string, value: Uint8Array | null])[]): Promise<void>
  close(): Promise<void>
}

/** The part of a database the store needs; tests put failing ones in its place. */
export interface Database {
  open(): Promise<void>
  close(): Promise<void>
  get(key: string): Promise<Uint8Array | undefined>
  batch(operations: { type: 'put' | 'del'; key: string; value?: Uint8Array }[]): Promise<void>
  entries(from: string, to: string, limit: number): Promise<[string, Uint8Array][]>
}

/** LevelDB in a folder of its own; one process at a time. */
export function levelDatabase(path: string, sync = true): Database {
  // A ClassicLevel starts to open, and locks the folder, as soon as it is made.
  let level: ClassicLevel<string, Uint8Array> | undefined
  const current = () => {
    if (level === undefined) throw new GonkaError('ERR_GK_FILE', `the store in ${path} is closed`)
    return level
  }
  return {
    async open() {
      level = new ClassicLevel<string, Uint8Array>(path, { valueEncoding: 'view' })
      try {
        await level.open()
      } catch (error) {
        const cause = (error as { cause?: unknown }).cause
        throw new GonkaError(
          'ERR_GK_FILE',
          `cannot open the store in ${path}: ${messageOf(cause ?? error)}; is another node using it?`,
          { cause: error },
        )
      }
    },
    close: async () => level?.close(),
    get: async (key) => current().get(key),
    batch: async (operations) =>
      current().batch(
        operations.map(({ type, key, value }) =>
          type === 'put' && value !== undefined ? { type, key, value } : { type: 'del', key },
        ),
        { sync },
      ),
    entries: async (from, to, limit) => current().iterator({ gte: from, lt: to, limit }).all(),
  }
}

export interface StoreOptions {
  /** Called when the disk starts or stops refusing writes. */
  readonly onHealth?: (health: StoreHealth) => void
  /** Delay before a failed flush is tried again, milliseconds. */
  readonly retryMs?: number
}

/** Opens the database and starts serving. Throws ERR_GK_FILE if it cannot be opened. */
export async function openStore(database: Database, options: StoreOptions = {}): Promise<Store> {
  await database.open()
  type Pending = Map<string, Uint8Array | null>
  let pending: Pending = new Map()
  let flushing: Pending = new Map()
  let waiting: (() => void)[] = []
  let loop: Promise<void> | undefined
  let error: string | null = null
  let closing = false
  let wake: (() => void) | undefined
  /** The database is being opened anew; who reads waits for it. */
  let reopening: Promise<void> | undefined
  let isOpen = true
  /** Wake those who wait for a flush or for its failure. */
  const impatient = new Set<() => void>()

  const bytesOf = (map: Pending) => {
    let total = 0
    for (const [key, value] of map) total += key.length + (value?.length ?? 0)
    return total
  }
  const health = (): StoreHealth => ({
    degraded: error !== null,
    error,
    pendingBytes: bytesOf(pending) + bytesOf(flushing),
  })

  const flushOnce = async (): Promise<boolean> => {
    flushing = pending
    pending = new Map()
    const operations = [...flushing].map(([key, value]) =>
      value === null ? { type: 'del' as const, key } : { type: 'put' as const, key, value },
    )
    try {
      await database.batch(operations)
      flushing = new Map()
      if (error !== null) {
        error = null
        options.onHealth?.(health())
      }
      return true
    } catch (failure) {
      for (const [key, value] of flushing) if (!pending.has(key)) pending.set(key, value)
      flushing = new Map()
      const first = error === null
      error = messageOf((failure as { cause?: unknown }).cause ?? failure)
      if (first) {
        for (const give of impatient) give()
        impatient.clear()
        options.onHealth?.(health())
      }
      return false
    }
  }

  const pause = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, options.retryMs ?? 500)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const reopen = async (): Promise<void> => {
    await database.close().catch(() => undefined)
    try {
      await database.open()
      isOpen = true
    } catch (failure) {
      isOpen = false
      error = messageOf(failure)
    }
  }

  const run = async () => {
    while (waiting.length > 0) {
      const resolved = waiting
      waiting = []
      if (pending.size === 0 || (await flushOnce())) {
        for (const done of resolved) done()
        continue
      }
      waiting = [...resolved, ...waiting]
      if (closing) break
      // A database that met a write error stays refusing until it is opened anew, which a full disk may refuse as well.
      do {
        await pause()
        reopening = reopen()
        await reopening
      } while (!isOpen && !closing)
      reopening = undefined
    }
    loop = undefined
  }

  const write: Store['write'] = (entries) => {
    if (closing) return Promise.reject(new GonkaError('ERR_GK_FILE', 'the store is closed'))
    for (const [key, value] of entries) pending.set(key, value)
    return new Promise<void>((resolve) => {
      waiting.push(resolve)
      // The loop starts in the next turn, so that writes of this turn join the same flush.
      loop ??= new Promise<void>((next) => setImmediate(next)).then(run)
    })
  }

  return {
    write,
    offer(entries) {
      const written = write(entries)
      if (error !== null) return Promise.resolve()
      return new Promise<void>((resolve, reject) => {
        impatient.add(resolve)
        written.then(() => {
          impatient.delete(resolve)
          resolve()
        }, reject)
      })
    },
    async read(key) {
      const early = pending.has(key) ? pending.get(key) : flushing.get(key)
      if (early !== undefined) return early ?? undefined
      await reopening
      return database.get(key)
    },
    async list(prefix, limit = Number.MAX_SAFE_INTEGER) {
      const overlay = new Map<string, Uint8Array | null>()
      for (const map of [flushing, pending]) {
        for (const [key, value] of map) if (key.startsWith(prefix)) overlay.set(key, value)
      }
      await reopening
      let stored: [string, Uint8Array][] = []
      try {
        // '~' sorts behind every character that keys use.
        stored = await database.entries(prefix, `${prefix}~`, Math.min(limit + overlay.size, 2 ** 31 - 1))
      } catch (failure) {
        // A database that could not be opened anew: memory alone answers.
        if (error === null) throw failure
      }
      const merged = new Map<string, Uint8Array | null>(stored)
      for (const [key, value] of overlay) merged.set(key, value)
      const out = [...merged].filter((entry): entry is [string, Uint8Array] => entry[1] !== null)
      out.sort((a, b) => (a[0] < b[0] ? -1 : 1))
      return out.slice(0, limit)
    },
    health,
    async close() {
      closing = true
      wake?.()
      await loop
      await database.close()
    },
  }
}
