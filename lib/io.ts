/** What a command may touch besides its arguments. Passed in, so that tests run commands in their own process. */
import type { NativeApi } from './native-api.ts'

export interface TextSink {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface Io {
  /** Data. */
  readonly out: TextSink
  /** Messages, progress, tables meant for people. */
  readonly err: TextSink
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by Ctrl-C, SIGTERM or a reader of `out` that went away. */
  readonly signal: AbortSignal
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Everything on standard input, as text. */
  readonly readInput: () => Promise<string>
  /** The addon, loaded at the first call. */
  readonly native: () => Promise<NativeApi>
}

/** Writes one JSON document to `out`. NaN and infinities, which JSON lacks, become null. */
export function writeJson(io: Io, value: unknown): void {
  io.out.write(`${JSON.stringify(value, (_key, entry) => (typeof entry === 'bigint' ? Number(entry) : entry))}\n`)
}
