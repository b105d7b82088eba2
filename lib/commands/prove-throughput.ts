/**
 * prove throughput: an amount of exact integer products, signed.
 *
 * JSON: {"file", "bytes", "public_key", "address", "params": {"profile", "m", "n", "k", "shares"}, "challenge",
 *  "challenge_from": "given" | "service" | "prover", "certificate": file or null, "challenge_issuer": key or null, "target", "work": {"tiles", "relative_spread", "tiles_lower_bound", "macs",
 *  "macs_lower_bound"}, "measured": {"tiles", "macs", "seconds", "plausible"}, "elapsed_seconds", "macs_per_second",
 *  "time_vouched_by", "energy": {"method", "joules", "reason"}, "backend": {"name", "sha256"}}. macs_per_second is the estimate of
 * "work" over elapsed_seconds.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Key } from '../chain/key-file.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import type { NativeDevice } from '../native-api.ts'
import { openCertificate } from '../proof/certificate.ts'
import type { ThroughputProof } from '../proof/prove-throughput.ts'
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
  readonly challengeUrl?: string
  readonly certificate?: string
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
    .option('--challenge-url <url>', 'ask a challenge service for it, and for a certificate of the time')
    .option('--certificate <file>', 'with --challenge-url: the certificate to write (default: <out>.cert)')
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
  const service = await serviceOf(options)
  if (!options.force) await checkNewFile(options.out)
  if (service && !options.force) await checkNewFile(service.file)
  const key = await readKeyFile(options.key)
  const { profile, m, n, k, seconds, shares, challenge } = options
  const replace = options.force ? { force: true } : {}
  const devices = await openDevices(io, options)
  const progress = startProgress(io)
  try {
    const proof = await proveThroughput({
      key,
      device: devices,
      profile,
      m,
      n,
      k,
      seconds,
      ...(shares === undefined ? {} : { shares }),
      ...(challenge === undefined ? {} : { challenge }),
      ...(service === undefined ? {} : { challenge: () => service.issue(key, io.signal) }),
      onProgress: (text, fraction) => progress.update(text, fraction),
      onAlarm: (sentence) => io.err.write(`warning: ${sentence}\n`),
      signal: io.signal,
      now: io.now,
    })
    progress.update('asking for the certificate')
    // The time runs until the service has the proof: it is sent before it is written.
    const certified = await service?.certify(proof.bytes, io.signal).catch((error: unknown) => error)
    progress.done()
    await writeAtomically(options.out, proof.bytes, replace)
    if (certified !== undefined && !(certified instanceof Uint8Array)) throw certified
    if (service && certified instanceof Uint8Array) await writeAtomically(service.file, certified, replace)
    warnOfWrongProducts(io, proof)
    const from = service ? 'service' : challenge === undefined ? 'prover' : 'given'
    if (options.json) {
      writeJson(io, {
        ...proofJson(options.out, key.address, proof),
        challenge_from: from,
        certificate: service?.file ?? null,
        challenge_issuer: service?.issuer() ?? null,
      })
    } else
      io.out.write(proofText(options.out, key.address, proof, from, certified as Uint8Array | undefined, service?.file))
    return exitCodes.ok
  } finally {
    progress.done()
    await Promise.all(devices.map((device) => device.close()))
  }
}

interface Service {
  readonly file: string
  issue(key: Key, signal: AbortSignal): Promise<Uint8Array>
  certify(proof: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  issuer(): string | undefined
}

/** The challenge service that the options name. */
async function serviceOf({ challengeUrl, challenge, certificate, out }: Options): Promise<Service | undefined> {
  if (challengeUrl === undefined) {
    if (certificate !== undefined) throw new GonkaError('ERR_GK_USAGE', '--certificate needs --challenge-url')
    return undefined
  }
  if (challenge !== undefined) throw new GonkaError('ERR_GK_USAGE', 'give either --challenge or --challenge-url')
  const { challengeClient } = await import('../challenge/client.ts')
  const client = challengeClient(challengeUrl)
  let issued: Awaited<ReturnType<typeof client.issue>> | undefined
  return {
    file: certificate ?? `${out}.cert`,
    async issue(key, signal) {
      issued = await client.issue(key.publicKey, signal)
      return issued.challenge
    },
    async certify(proof, signal) {
      if (issued === undefined) throw new Error('no challenge was issued')
      return client.certify(issued, proof, { signal })
    },
    issuer: () => issued?.issuer,
  }
}

/** Every device of the list "cpu:0,cuda:0". */
async function openDevices(io: Io, options: Options): Promise<NativeDevice[]> {
  const devices: NativeDevice[] = []
  try {
    for (const device of options.device.split(',')) devices.push(await openDevice(io, { ...options, device }))
    return devices
  } catch (error) {
    await Promise.all(devices.map((device) => device.close()))
    throw error
  }
}

function warnOfWrongProducts(io: Io, { payload, measured }: ThroughputProof): void {
  if (measured.plausible) return
  const [device] = payload.environment.device.split(' ')
  io.err.write(
    `warning: ${measured.tiles} tiles gave ${payload.statement.shares} shares, which chance does not explain; ` +
      `run: gonka-miner conformance --device ${device} --op matmul_pow\n`,
  )
}

function proofJson(
  file: string,
  address: string,
  { bytes, payload, work, measured, energyReason }: ThroughputProof,
): object {
  const { statement, timing, energy, environment } = payload
  const { profile, m, n, k, shares } = statement
  const elapsed = Number(timing.elapsedNs) / 1e9
  return {
    file,
    bytes: bytes.length,
    public_key: hex(statement.publicKey),
    address,
    params: { profile, m, n, k, shares },
    challenge: hex(statement.challenge),
    target: hex(statement.target),
    work: toJson(work),
    measured,
    elapsed_seconds: elapsed,
    macs_per_second: work.macs / elapsed,
    time_vouched_by: timing.vouchedBy,
    energy: { method: energy.method, joules: energy.joules ?? null, reason: energyReason },
    backend: { name: environment.backend, sha256: hex(environment.backendSha256) },
  }
}

function proofText(
  file: string,
  address: string,
  { payload, work, measured, energyReason }: ThroughputProof,
  from: 'service' | 'given' | 'prover',
  certificate: Uint8Array | undefined,
  certificateFile: string | undefined,
): string {
  const { statement, energy } = payload
  const { joules } = energy
  const words = {
    prover: 'The challenge is self-chosen: this proves the work, not its speed.',
    given: 'This proves speed only to whoever knows when the challenge was first known.',
    service: `${certificateFile}: the time, certified by the issuer of the challenge`,
  }[from]
  const certified = certificate ? Number(openCertificate(certificate).certificate.elapsedNs) / 1e9 : undefined
  return (
    `${file}: ${statement.shares} shares, signed by ${address}\n` +
    `proven    ${siNumber(work.macs)}MAC +- ${threeDigits(100 * work.relativeSpread)}%, at least ${siNumber(work.macsLowerBound)}MAC with confidence 0.999\n` +
    `measured  ${siNumber(measured.macs)}MAC in ${threeDigits(measured.seconds)} s, ` +
    `${siNumber(measured.macs / measured.seconds)}MAC/s by this machine's clock\n` +
    (certified === undefined
      ? ''
      : `certified ${siNumber(work.macs / certified)}MAC/s, at least ${siNumber(work.macsLowerBound / certified)}MAC/s, in ${threeDigits(certified)} s by the issuer's clock\n`) +
    `energy    ${joules === undefined ? `${energy.method}: ${energyReason}` : `${threeDigits(joules)} J, ${threeDigits(joules / (work.macs / 1e12))} J/TMAC, read by ${energy.method}`}\n` +
    `${words}\n`
  )
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
