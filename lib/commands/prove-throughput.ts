/**
 * prove throughput: an amount of exact integer products, signed.
 *
 * JSON: {"file", "bytes", "public_key", "address", "params": {"profile", "m", "n", "k", "shares"}, "challenge",
 *  "challenge_from": "given" | "prover", "target", "work": {"tiles", "relative_spread", "tiles_lower_bound", "macs",
 *  "macs_lower_bound"}, "measured": {"tiles", "macs", "seconds", "plausible"}, "elapsed_seconds", "macs_per_second",
 *  "time_vouched_by", "energy": {"method", "joules"}, "backend": {"name", "sha256"}}. macs_per_second is the estimate of
 * "work" over elapsed_seconds.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { exitCodes } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import { type MatmulPowProfile, matmulPowProfiles, maxShares } from '../protocol/matmul-pow.ts'
import { siNumber, startProgress, threeDigits } from '../terminal.ts'
import { type DeviceOptions, decimal, integer, jsonOption, openDevice, type Run, withDeviceOptions } from './command.ts'

interface Options extends DeviceOptions {
  readonly seconds: number
  readonly shares?: number
  readonly profile: MatmulPowProfile
  readonly m: number
  readonly n: number
  readonly k: number
  readonly challenge?: Uint8Array
  readonly key: string
  readonly out: string
  readonly force?: boolean
  readonly json?: boolean
}

export function defineProveThroughput(command: Command, run: Run): void {
  withDeviceOptions(command)
    .requiredOption('--key <file>', 'key that signs; its public key is hashed into every ticket')
    .requiredOption('--out <file>', 'the proof file to write')
    .option(
      '--seconds <n>',
      'about how long to work',
      decimal('seconds in 0.01..86400', (value) => value >= 0.01 && value <= 86400),
      30,
    )
    .option(
      '--shares <n>',
      'shares to find in that time (default: 4000, fewer if so many do not fit)',
      integer(1, maxShares),
    )
    .addOption(
      new Option('--profile <name>', 'operands: any int8, or -7..7')
        .choices(Object.keys(matmulPowProfiles))
        .default('i8'),
    )
    .option('--challenge <hex>', '32 bytes that nobody could know earlier (default: random)', parseChallenge)
    .option('--m <n>', 'rows of A, a multiple of 64', integer(64, 65536), 2048)
    .option('--n <n>', 'rows of B, a multiple of 64', integer(64, 65536), 2048)
    .option('--k <n>', 'reduced axis, a multiple of 256', integer(256, 65536), 4096)
    .option('--force', 'replace an existing file')
    .option(...jsonOption)
    .action(run(prove))
}

function parseChallenge(text: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError('Expected 64 hexadecimal digits.')
  return Uint8Array.from(Buffer.from(text, 'hex'))
}

async function prove(io: Io, options: Options): Promise<number> {
  const [{ readKeyFile }, { proveThroughput }, { writeAtomically, checkNewFile }] = await Promise.all([
    import('../chain/key-file.ts'),
    import('../proof/prove-throughput.ts'),
    import('../files.ts'),
  ])
  if (!options.force) await checkNewFile(options.out)
  const key = await readKeyFile(options.key)
  const { profile, m, n, k, seconds, shares, challenge } = options
  const device = await openDevice(io, options)
  const progress = startProgress(io)
  try {
    const { bytes, payload, work, measured } = await proveThroughput({
      key,
      device,
      profile,
      m,
      n,
      k,
      seconds,
      ...(shares === undefined ? {} : { shares }),
      ...(challenge === undefined ? {} : { challenge }),
      onProgress: (text, fraction) => progress.update(text, fraction),
      signal: io.signal,
      now: io.now,
    })
    progress.done()
    await writeAtomically(options.out, bytes, options.force ? { force: true } : {})
    const { statement, timing, energy, environment } = payload
    const elapsed = Number(timing.elapsedNs) / 1e9
    if (!measured.plausible) {
      io.err.write(
        `warning: ${measured.tiles} tiles gave ${statement.shares} shares, which chance does not explain; ` +
          `run: gonka-miner conformance --device ${environment.device} --op matmul_pow\n`,
      )
    }
    if (options.json) {
      writeJson(io, {
        file: options.out,
        bytes: bytes.length,
        public_key: hex(statement.publicKey),
        address: key.address,
        params: { profile, m, n, k, shares: statement.shares },
        challenge: hex(statement.challenge),
        challenge_from: challenge === undefined ? 'prover' : 'given',
        target: hex(statement.target),
        work: toJson(work),
        measured,
        elapsed_seconds: elapsed,
        macs_per_second: work.macs / elapsed,
        time_vouched_by: timing.vouchedBy,
        energy: { method: energy.method, joules: energy.joules ?? null },
        backend: { name: environment.backend, sha256: hex(environment.backendSha256) },
      })
    } else {
      const spread = threeDigits(100 * work.relativeSpread)
      io.out.write(
        `${options.out}: ${statement.shares} shares, signed by ${key.address}\n` +
          `proven    ${siNumber(work.macs)}MAC +- ${spread}%, at least ${siNumber(work.macsLowerBound)}MAC with confidence 0.999\n` +
          `measured  ${siNumber(measured.macs)}MAC in ${threeDigits(measured.seconds)} s, ` +
          `${siNumber(measured.macs / measured.seconds)}MAC/s by this machine's clock\n` +
          `energy    ${energy.method}\n` +
          (challenge === undefined
            ? 'The challenge is self-chosen: this proves the work, not its speed.\n'
            : 'This proves speed only to whoever knows when the challenge was first known.\n'),
      )
    }
    return exitCodes.ok
  } finally {
    progress.done()
    await device.close()
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
