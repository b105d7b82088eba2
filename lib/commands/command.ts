/** What a command file exports, and the pieces their option lists share. */
import { type Command, InvalidArgumentError } from 'commander'
import type { Io } from '../io.ts'
import type { NativeDevice } from '../native-api.ts'

/** Turns an action that returns an exit code into what commander calls. */
export type Run = <A extends unknown[]>(
  action: (io: Io, ...given: A) => Promise<number>,
) => (...given: A) => Promise<void>

/**
 * Adds options, subcommands and actions to a command that the command line has already named and described. wholeTree
 * builds the complete command line, for commands about commands.
 */
export type Define = (command: Command, run: Run, wholeTree: () => Promise<Command>) => void

export const jsonOption = ['--json', 'one JSON document on standard output'] as const

/** What the options of withDeviceOptions become. */
export interface DeviceOptions {
  readonly device: string
  readonly threads?: number
  readonly backend?: readonly string[]
}

/** What computes unless a command line names something else. */
export const defaultDevice = 'cpu:0'

/** Options of every command that computes. */
export function withDeviceOptions(command: Command): Command {
  return command
    .option('--device <id>', 'device as `gonka-miner devices` names it', defaultDevice)
    .option('--threads <n>', 'worker threads of a CPU device (default: all)', integer(1, 4096))
    .option('--backend <file>', 'load a backend library first; may be repeated', repeated)
}

/** Opens the chosen device; notices go to `err`. */
export async function openDevice(io: Io, options: DeviceOptions): Promise<NativeDevice> {
  const { openChosenDevice } = await import('../backends.ts')
  return openChosenDevice(await io.native(), {
    device: options.device,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    backends: options.backend ?? [],
    onNotice: (sentence) => io.err.write(`note: ${sentence}\n`),
    signal: io.signal,
  })
}

/** A parser for an option that may be given more than once. */
function repeated(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

/** A parser for an integer option within [min, max]. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`Expected an integer in ${min}..${max}.`)
    return value
  }
}

/** A parser for a decimal number option for which `accept` holds; `wanted` completes "Expected". */
export function decimal(wanted: string, accept: (value: number) => boolean): (text: string) => number {
  return (text) => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN
    if (!Number.isFinite(value) || !accept(value)) throw new InvalidArgumentError(`Expected ${wanted}.`)
    return value
  }
}

/** A parser for the address of an HTTP server. */
export function httpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new InvalidArgumentError('Expected a URL that begins with http:// or https://.')
  }
  return text
}

/** A parser for a fraction within [min, max], written as 0.02 or 2%. */
export function fraction(min: number, max: number): (text: string) => number {
  return (text) => {
    const match = /^(\d+\.?\d*|\.\d+)(%?)$/.exec(text)
    const value = match ? Number(match[1]) / (match[2] ? 100 : 1) : Number.NaN
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Expected a fraction in ${min}..${max}, as 0.02 or 2%.`)
    return value
  }
}

/** Integers from 0, separated by commas; a-b stands for all from a to b. Ascending where ranges are. */
export function integerList(text: string): readonly number[] {
  const out: number[] = []
  for (const part of text.split(',')) {
    const match = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(part)
    const first = Number(match?.[1] ?? Number.NaN)
    const last = Number(match?.[2] ?? first)
    if (!(last >= first && last - first < 4096))
      throw new InvalidArgumentError('Expected integers separated by commas, as 1,16 or 0-3.')
    for (let value = first; value <= last; value++) out.push(value)
  }
  return out
}
