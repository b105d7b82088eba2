/**
 * challenge serve: runs until interrupted; open challenges and certificates stay on disk.
 *
 * JSON on standard output (--json), one line when ready: {"url", "public_key", "address"}. Logs are JSON lines on standard
 * error. lib/challenge/server.ts lists the routes.
 */
import { type Command, InvalidArgumentError } from 'commander'
import { exitCodes, GonkaError, messageOf } from '../errors.ts'
import { makeFolder } from '../files.ts'
import { type Io, writeJson } from '../io.ts'
import { integer, jsonOption, type Run } from './command.ts'

interface Options {
  readonly key: string
  readonly data: string
  readonly listen: string
  readonly port: number
  readonly expires: number
  readonly keepDays: number
  readonly maxOpen: number
  readonly maxShares: number
  readonly sample: number | 'all'
  readonly rate: number
  readonly threads?: number
  readonly trustProxy?: boolean
  readonly json?: boolean
}

export function defineChallengeServe(command: Command, run: Run): void {
  command
    .requiredOption('--key <file>', 'key that signs certificates')
    .requiredOption('--data <dir>', 'where challenges and certificates are kept')
    .option('--listen <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', '0 for any free one', integer(0, 65535), 8790)
    .option('--expires <seconds>', 'how long a challenge may be answered', integer(1, 7 * 86_400), 600)
    .option('--keep-days <n>', 'how long certificates are kept', integer(1, 36_500), 365)
    .option('--max-open <n>', 'most challenges open at a time', integer(1, 1_000_000), 10_000)
    .option('--max-shares <n>', 'larger proofs are refused', integer(1, 2 ** 20), 20_000)
    .option('--sample <n>', 'shares recomputed of each proof, or "all"', parseSample, 'all')
    .option('--rate <n>', 'POST requests a minute from one address', integer(1, 1_000_000), 120)
    .option('--trust-proxy', "take callers' addresses from X-Forwarded-For")
    .option('--threads <n>', 'threads that recompute shares (default: all)', integer(1, 4096))
    .option(...jsonOption)
    .action(run(serve))
}

function parseSample(text: string): number | 'all' {
  if (text === 'all') return text
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a number or "all".')
  return integer(1)(text)
}

async function serve(io: Io, options: Options): Promise<number> {
  const [{ readKeyFile }, { openBook }, { startChallengeServer }, { levelDatabase }, { createLog }] = await Promise.all(
    [
      import('../chain/key-file.ts'),
      import('../challenge/book.ts'),
      import('../challenge/server.ts'),
      import('../node/outbox/store.ts'),
      import('../node/log.ts'),
    ],
  )
  const key = await readKeyFile(options.key)
  const native = await io.native()
  await makeFolder(options.data, 0o700)
  const log = createLog('info', { write: (line: string) => void io.err.write(line) })
  const lifetimeMs = options.expires * 1000
  const book = await openBook({
    database: levelDatabase(options.data),
    lifetimeMs,
    maxOpen: options.maxOpen,
    keepMs: options.keepDays * 86_400_000,
    now: io.now,
  })
  try {
    const { threads } = options
    const server = await startChallengeServer({
      key,
      book,
      log,
      checkShares: (request, onChecked, signal) =>
        native.checkShares(threads === undefined ? request : { ...request, threads }, onChecked, signal),
      host: options.listen,
      port: options.port,
      lifetimeMs,
      maxShares: options.maxShares,
      sample: options.sample,
      perMinute: options.rate,
      trustProxy: options.trustProxy === true,
      now: io.now,
    }).catch((error: unknown) => {
      throw new GonkaError('ERR_GK_USAGE', `cannot listen on ${options.listen}:${options.port}: ${messageOf(error)}`)
    })
    const publicKey = Buffer.from(key.publicKey).toString('hex')
    if (options.json) writeJson(io, { url: server.url, public_key: publicKey, address: key.address })
    else io.out.write(`${server.url}\n`)
    log.info({ url: server.url, issuer: publicKey, open: book.open() }, 'ready')
    await new Promise<void>((resolve) => {
      if (io.signal.aborted) resolve()
      else io.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    log.info({}, 'stopping')
    await server.close()
  } finally {
    await book.close()
  }
  return exitCodes.ok
}
