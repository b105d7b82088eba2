/** An Io for tests: text is collected, nothing touches the process. */
import type { Io } from '../lib/io.ts'
import type { NativeApi } from '../lib/native-api.ts'

export interface TestIo extends Io {
  outText(): string
  errText(): string
}

export interface TestIoOptions {
  readonly input?: string
  readonly signal?: AbortSignal
  readonly env?: Record<string, string>
  /** Makes `err` a terminal. */
  readonly terminal?: boolean
  /** Takes the place of the addon. */
  readonly native?: NativeApi
}

export function testIo(options: TestIoOptions = {}): TestIo {
  let out = ''
  let err = ''
  return {
    out: {
      write: (text) => {
        out += text
      },
    },
    err: {
      write: (text) => {
        err += text
      },
      isTTY: options.terminal ?? false,
      columns: 80,
    },
    env: options.env ?? {},
    signal: options.signal ?? new AbortController().signal,
    now: Date.now,
    readInput: async () => options.input ?? '',
    native: async () => options.native ?? (await import('../lib/native.ts')).loadNative(),
    outText: () => out,
    errText: () => err,
  }
}
