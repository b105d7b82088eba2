/**
 * poc v1: nonces in, distances out.
 *
 * JSON: {"protocol": "poc-v1", "params": {...}, "block_hash", "public_key", "nonces": [...], "dist": [...]}, with
 * --r-target only the kept nonces and also "r_target". A distance that is not a number is null.
 */
import type { Command } from 'commander'
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import type { PocV1Params } from '../native-api.ts'
import { startProgress, threeDigits } from '../terminal.ts'
import { type DeviceOptions, decimal, integer, jsonOption, openDevice, type Run, withDeviceOptions } from './command.ts'

interface Options extends DeviceOptions {
  readonly params: string
  readonly blockHash?: string
  readonly publicKey?: string
  readonly nonces?: string
  readonly weights?: string
  readonly rTarget?: number
  readonly batch?: number
  readonly json?: boolean
}

/** Largest weights file: PARAMS_V2 in half precision, with room. */
const weightsLimit = 2 ** 36

export const rTargetOption = ['--r-target <x>', 'keep only distances below this'] as const
export const parseRTarget = decimal('a number above 0, at most 2', (value) => value > 0 && value <= 2)

export function definePocV1(command: Command, run: Run): void {
  withDeviceOptions(command)
    // Options of the subcommand are its own; marked as required, those here would be demanded of it as well.
    .enablePositionalOptions()
    .option('--params <set>', 'default, v1, v2 or a JSON file', 'default')
    .option('--block-hash <text>', 'any text; hashed into every seed (required)')
    .option('--public-key <text>', 'any text; hashed into the seeds of the nonces (required)')
    .option('--nonces <list>', 'numbers and ranges: 0-63,2147483647 (required)')
    .option('--weights <file>', 'all parameters, f16 little-endian, in parameter order')
    .option(...rTargetOption, parseRTarget)
    .option('--batch <n>', 'nonces per forward pass', integer(1, 65536))
    .option(...jsonOption)
    .action(run(pocV1Command))
}

async function pocV1Command(io: Io, options: Options): Promise<number> {
  const [{ loadParams }, { parseNonceList }, { collect, openSession, runRequest, runSession }] = await Promise.all([
    import('../protocol/params.ts'),
    import('../protocol/nonce-list.ts'),
    import('../poc-v1.ts'),
  ])
  const blockHash = required('--block-hash <text>', options.blockHash)
  const publicKey = required('--public-key <text>', options.publicKey)
  const nonces = parseNonceList(required('--nonces <list>', options.nonces))
  const params = await loadParams(options.params)
  const weights = options.weights === undefined ? undefined : await readWeights(options.weights, params)
  const device = await openDevice(io, options)
  const progress = startProgress(io)
  try {
    const round = {
      device,
      params,
      nonces,
      blockHash,
      publicKey,
      ...(options.rTarget === undefined ? {} : { rTarget: options.rTarget }),
      ...(options.batch === undefined ? {} : { batch: options.batch }),
      ...(weights === undefined ? {} : { weights }),
      onProgress: (fraction: number, step: string) => progress.update(step, fraction),
      signal: io.signal,
    }
    const session = await openSession(round)
    try {
      const {
        nonces: kept,
        dist,
        stats,
      } = await collect(runSession(session, runRequest(round), io.signal), (done) =>
        progress.update(`${done} of ${nonces.length} nonces`, done / nonces.length),
      )
      progress.done()
      if (options.json) {
        writeJson(io, {
          protocol: 'poc-v1',
          params,
          block_hash: blockHash,
          public_key: publicKey,
          ...(options.rTarget === undefined ? {} : { r_target: options.rTarget }),
          nonces: Array.from(kept),
          dist: Array.from(dist),
        })
      } else {
        for (const [i, nonce] of kept.entries()) io.out.write(`${nonce} ${dist[i]}\n`)
      }
      const rate = stats.computed / stats.seconds
      io.err.write(
        `${stats.computed} nonces in ${threeDigits(stats.seconds)} s: ${threeDigits(rate)} nonces/s ` +
          `(model made in ${threeDigits(session.initSeconds)} s; ${session.implementation})\n`,
      )
      return exitCodes.ok
    } finally {
      await session.close()
    }
  } finally {
    progress.done()
    await device.close()
  }
}

function required(flags: string, value: string | undefined): string {
  if (value === undefined) throw new GonkaError('ERR_GK_USAGE', `required option '${flags}' not specified`)
  return value
}

async function readWeights(path: string, params: PocV1Params): Promise<Uint8Array> {
  const [{ readBytes }, { parameterCount }] = await Promise.all([
    import('../files.ts'),
    import('../protocol/params.ts'),
  ])
  const bytes = await readBytes(path, weightsLimit)
  const wanted = 2 * parameterCount(params)
  if (bytes.length !== wanted) {
    throw new GonkaError(
      'ERR_GK_PARAMS',
      `${path} has ${bytes.length} bytes; these params need ${wanted} (2 per weight)`,
    )
  }
  return bytes
}
