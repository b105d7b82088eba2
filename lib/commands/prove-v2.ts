/**
 * prove v2: artifacts of a model's files, signed.
 *
 * JSON: {"file", "bytes", "public_key", "address", "model_digest", "artifacts", "searched", "elapsed_seconds",
 *  "nonces_per_second"}.
 */
import { type Command, Option } from 'commander'
import { exitCodes } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import type { PocV2Rng } from '../native-api.ts'
import { startProgress, threeDigits } from '../terminal.ts'
import { type DeviceOptions, integer, jsonOption, openDevice, type Run, withDeviceOptions } from './command.ts'
import { rngOption } from './poc-v2.ts'

interface Options extends DeviceOptions {
  readonly model: string
  readonly compute?: 'f32'
  readonly blockHash: string
  readonly nonces: string
  readonly seqLen: number
  readonly kDim: number
  readonly rng: PocV2Rng
  readonly batch?: number
  readonly key: string
  readonly out: string
  readonly force?: boolean
  readonly json?: boolean
}

export function defineProveV2(command: Command, run: Run): void {
  withDeviceOptions(command)
    .requiredOption('--key <file>', 'key that signs; its public key is hashed into the seeds')
    .requiredOption('--out <file>', 'the proof file to write')
    .requiredOption('--model <dir>', 'a Hugging Face directory')
    .requiredOption('--block-hash <text>', 'any text; hashed into every seed')
    .requiredOption('--nonces <list>', 'numbers and ranges: 0-63,2147483647')
    .option('--seq-len <n>', 'tokens per nonce', integer(1, 2 ** 20), 1024)
    .option('--k-dim <n>', 'values per artifact', integer(1, 4096), 12)
    .addOption(rngOption())
    .addOption(new Option('--compute <type>', "arithmetic other than the model's own type").choices(['f32']))
    .option('--batch <n>', 'nonces per forward pass', integer(1, 65536))
    .option('--force', 'replace an existing file')
    .option(...jsonOption)
    .action(run(prove))
}

async function prove(io: Io, options: Options): Promise<number> {
  const [{ readKeyFile }, { parseNonceList }, { proveV2 }, { writeAtomically, checkNewFile }] = await Promise.all([
    import('../chain/key-file.ts'),
    import('../protocol/nonce-list.ts'),
    import('../proof/prove-v2.ts'),
    import('../files.ts'),
  ])
  if (!options.force) await checkNewFile(options.out)
  const nonces = parseNonceList(options.nonces)
  const key = await readKeyFile(options.key)
  const { model, compute, blockHash, seqLen, kDim, rng, batch } = options
  const device = await openDevice(io, options)
  const progress = startProgress(io)
  try {
    const proof = await proveV2({
      key,
      device,
      native: await io.native(),
      model,
      blockHash,
      nonces,
      seqLen,
      kDim,
      rng,
      ...(compute === undefined ? {} : { compute }),
      ...(batch === undefined ? {} : { batch }),
      onProgress: (text, fraction) => progress.update(text, fraction),
      signal: io.signal,
      now: io.now,
    })
    progress.done()
    await writeAtomically(options.out, proof.bytes, options.force ? { force: true } : {})
    const { statement, timing } = proof.payload
    const seconds = Number(timing.elapsedNs) / 1e9
    const [count, searched] = [statement.nonces.length, Number(statement.searched)]
    if (options.json) {
      writeJson(io, {
        file: options.out,
        bytes: proof.bytes.length,
        public_key: statement.publicKey,
        address: key.address,
        model_digest: Buffer.from(statement.modelSha256).toString('hex'),
        artifacts: count,
        searched,
        elapsed_seconds: seconds,
        nonces_per_second: searched / seconds,
      })
    } else {
      io.out.write(
        `${options.out}: ${count} artifacts from ${searched} nonces in ${threeDigits(seconds)} s ` +
          `(${threeDigits(searched / seconds)} nonces/s), signed by ${key.address}\n`,
      )
    }
    return exitCodes.ok
  } finally {
    progress.done()
    await device.close()
  }
}
