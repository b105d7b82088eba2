/** The Io of a real process: standard streams, signals, the addon. */
import { exitCodes } from './errors.ts'
import type { Io, TextSink } from './io.ts'

/** How long work may go on after Ctrl-C before the process ends anyway. */
const graceMs = 900

export interface ProcessIo extends Io {
  /** 141 after a reader of standard output went away, 130 after a signal, otherwise undefined. */
  readonly stopCode: () => number | undefined
  /** Stops listening for signals. */
  readonly release: () => void
}

export function processIo(): ProcessIo {
  const controller = new AbortController()
  let stopCode: number | undefined
  const stop = (code: number, reason: string): void => {
    if (stopCode !== undefined) return
    stopCode = code
    controller.abort(new Error(reason))
    // Native work stops within one batch, and a batch on a slow device may be long: a person does not wait for it.
    setTimeout(() => {
      if (code === exitCodes.interrupted) process.stderr.write('interrupted\n')
      process.exit(code)
    }, graceMs).unref()
  }
  const interrupted = (signal: NodeJS.Signals): void => {
    // The second signal ends the process at once.
    if (stopCode !== undefined) process.exit(exitCodes.interrupted)
    stop(exitCodes.interrupted, signal)
  }
  process.on('SIGINT', interrupted)
  process.on('SIGTERM', interrupted)
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') stop(exitCodes.brokenPipe, 'EPIPE')
      else stop(exitCodes.failed, error.message)
    })
  }
  return {
    out: sinkOf(process.stdout),
    err: sinkOf(process.stderr),
    env: process.env,
    signal: controller.signal,
    now: Date.now,
    readInput,
    native: async () => (await import('./native.ts')).loadNative(),
    stopCode: () => stopCode,
    release: () => {
      process.off('SIGINT', interrupted)
      process.off('SIGTERM', interrupted)
    },
  }
}

function sinkOf(stream: NodeJS.WriteStream): TextSink {
  return {
    write: (text) => stream.destroyed || stream.write(text),
    get isTTY() {
      return stream.isTTY === true
    },
    get columns() {
      return stream.columns ?? 80
    },
  }
}

/** Long enough for any key or document that a command reads there. */
const inputLimit = 1 << 20

async function readInput(): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of process.stdin) {
    size += (part as Buffer).length
    if (size > inputLimit) throw new Error(`standard input is longer than ${inputLimit} bytes`)
    parts.push(part as Buffer)
  }
  return Buffer.concat(parts).toString('utf8')
}
