/**
 * poc v2: nonces in, artifacts out, by a model's files on a device or by a server that serves the model.
 *
 * JSON: {"protocol": "poc-v2", "model", "block_hash", "public_key", "params": {"seq_len", "k_dim"}, "rng", "artifacts":
 *  [{"nonce", "vector_b64"}], "encoding": {"dtype": "f16", "k_dim", "endian": "le"}, "engine": {"architecture", "compute",
 *  "implementation", "threads", "batch"}, "seconds"}; with --trace also "traces": [{"nonce", "layers_f32_b64",
 *  "last_hidden_f32_b64"}]. A server as engine has only its "url". Nonces that end in a NaN have no artifact.
 */
import { type Command, Option } from 'commander'
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import type { PocV2Rng } from '../native-api.ts'
import type { ArtifactTrace } from '../protocol/artifact-file.ts'
import { siNumber, startProgress, threeDigits } from '../terminal.ts'
import { type DeviceOptions, httpUrl, integer, jsonOption, openDevice, type Run, withDeviceOptions } from './command.ts'

export interface EngineOptions extends DeviceOptions {
  readonly model?: string
  readonly upstream?: string
  readonly compute?: 'f32'
  readonly batch?: number
}

interface Options extends EngineOptions {
  readonly blockHash?: string
  readonly publicKey?: string
  readonly nonces?: string
  readonly seqLen: number
  readonly kDim: number
  readonly rng: PocV2Rng
  readonly trace?: boolean
  readonly json?: boolean
}

/** What is to be computed. */
export interface Round {
  readonly blockHash: string
  readonly publicKey: string
  readonly nonces: BigInt64Array
  readonly seqLen: number
  readonly kDim: number
  readonly rng: PocV2Rng
}

export interface RoundResult {
  readonly artifacts: readonly { readonly nonce: number; readonly vector: Uint8Array }[]
  readonly traces: readonly ArtifactTrace[]
  readonly engine: Readonly<Record<string, unknown>>
  readonly seconds: number
}

/** Where artifacts come from; shared with `poc v2 validate`. */
export function withEngineOptions(command: Command): Command {
  return withDeviceOptions(command)
    .option('--model <dir>', 'a Hugging Face directory; with --upstream the name of the served model')
    .option('--upstream <url>', 'let the server there compute: one that speaks the PoC v2 API', httpUrl)
    .addOption(new Option('--compute <type>', "arithmetic other than the model's own type").choices(['f32']))
    .option('--batch <n>', 'nonces per forward pass', integer(1, 65536))
}

export function definePocV2(command: Command, run: Run): void {
  withEngineOptions(command)
    // So that the options of a subcommand are its own; for the same reason none here can be marked as required.
    .enablePositionalOptions()
    .option('--block-hash <text>', 'any text; hashed into every seed (required)')
    .option('--public-key <text>', 'any text; hashed into the seeds of the nonces (required)')
    .option('--nonces <list>', 'numbers and ranges: 0-63,2147483647 (required)')
    .option('--seq-len <n>', 'tokens per nonce', integer(1, 2 ** 20), 1024)
    .option('--k-dim <n>', 'values per artifact', integer(1, 4096), 12)
    .addOption(rngOption())
    .option('--trace', 'also the hidden states after every layer, for `poc diff --trace`')
    .option(...jsonOption)
    .action(run(pocV2Command))
}

export function rngOption(): Option {
  return new Option('--rng <name>', "input generator; concat-murmur is the network's stronger rng")
    .choices(['murmur', 'concat-murmur'])
    .default('murmur')
}

export function required(flags: string, value: string | undefined): string {
  if (value === undefined) throw new GonkaError('ERR_GK_USAGE', `required option '${flags}' not specified`)
  return value
}

async function pocV2Command(io: Io, options: Options): Promise<number> {
  const [{ parseNonceList }, { encodingOf }, { encodeFloats }] = await Promise.all([
    import('../protocol/nonce-list.ts'),
    import('../protocol/wire-v2.ts'),
    import('../protocol/artifact-file.ts'),
  ])
  const round: Round = {
    blockHash: required('--block-hash <text>', options.blockHash),
    publicKey: required('--public-key <text>', options.publicKey),
    nonces: parseNonceList(required('--nonces <list>', options.nonces)),
    seqLen: options.seqLen,
    kDim: options.kDim,
    rng: options.rng,
  }
  const { artifacts, traces, engine, seconds } = await computeRound(io, options, round, options.trace ?? false)
  const encoded = artifacts.map(({ nonce, vector }) => ({
    nonce,
    vector_b64: Buffer.from(vector).toString('base64'),
  }))
  if (options.json) {
    writeJson(io, {
      protocol: 'poc-v2',
      model: options.model,
      block_hash: round.blockHash,
      public_key: round.publicKey,
      params: { seq_len: round.seqLen, k_dim: round.kDim },
      rng: round.rng,
      artifacts: encoded,
      encoding: encodingOf(round.kDim),
      engine,
      seconds,
      ...(options.trace
        ? {
            traces: traces.map(({ nonce, layers, lastHidden }) => ({
              nonce,
              layers_f32_b64: layers.map(encodeFloats),
              last_hidden_f32_b64: encodeFloats(lastHidden),
            })),
          }
        : {}),
    })
  } else {
    for (const { nonce, vector_b64 } of encoded) io.out.write(`${nonce} ${vector_b64}\n`)
  }
  const lost = round.nonces.length - artifacts.length
  io.err.write(
    `${round.nonces.length} nonces in ${threeDigits(seconds)} s: ${threeDigits(round.nonces.length / seconds)} nonces/s` +
      `${lost === 0 ? '' : `; ${lost} ended in a NaN and have no artifact`}\n`,
  )
  return exitCodes.ok
}

/** Computes a round on the chosen engine, with progress on `err`. */
export async function computeRound(io: Io, options: EngineOptions, round: Round, trace: boolean): Promise<RoundResult> {
  const model = required('--model <name>', options.model)
  if (options.upstream === undefined) return computeHere(io, options, model, round, trace)
  if (trace) throw new GonkaError('ERR_GK_USAGE', 'a server gives no hidden states: --trace goes with --model alone')
  return computeUpstream(io, options.upstream, model, options.batch ?? 32, round)
}

async function computeHere(
  io: Io,
  options: EngineOptions,
  model: string,
  round: Round,
  trace: boolean,
): Promise<RoundResult> {
  const { runPocV2 } = await import('../poc-v2.ts')
  const device = await openDevice(io, options)
  const progress = startProgress(io)
  try {
    const session = await device.pocV2Open(
      { model, ...(options.compute === undefined ? {} : { compute: options.compute }) },
      (fraction, step) => progress.update(step, fraction),
      io.signal,
    )
    try {
      const batch = options.batch ?? session.defaultBatch(round.seqLen)
      const artifacts: { nonce: number; vector: Uint8Array }[] = []
      const traces: ArtifactTrace[] = []
      const stream = runPocV2(
        session,
        { ...round, batch },
        {
          signal: io.signal,
          ...(trace ? { onTrace: (one: ArtifactTrace) => traces.push(one) } : {}),
        },
      )
      let computed = 0
      for (;;) {
        const next = await stream.next()
        if (next.done) {
          progress.done()
          io.err.write(
            `model loaded in ${threeDigits(session.initSeconds)} s (${session.architecture}, ` +
              `${siNumber(session.weightBytes)}B of ${session.dtype} weights); ${session.implementation}\n`,
          )
          const engine = {
            architecture: session.architecture,
            compute: session.compute,
            implementation: session.implementation,
            threads: (await device.report()).threads,
            batch,
          }
          return { artifacts, traces, engine, seconds: next.value.seconds }
        }
        artifacts.push(...next.value.artifacts)
        computed += next.value.computed
        progress.update(`${computed} of ${round.nonces.length} nonces`, computed / round.nonces.length)
      }
    } finally {
      await session.close()
    }
  } finally {
    progress.done()
    await device.close()
  }
}

async function computeUpstream(io: Io, url: string, model: string, batch: number, round: Round): Promise<RoundResult> {
  const [{ upstreamEngine }, { httpClient }, { addressRule }] = await Promise.all([
    import('../node/upstream-engine.ts'),
    import('../node/http-client.ts'),
    import('../node/address-rule.ts'),
  ])
  const http = httpClient(addressRule(['any']))
  const engine = upstreamEngine(url.replace(/\/+$/, ''), http, () => undefined)
  const progress = startProgress(io)
  const started = performance.now()
  try {
    const { blockHash, publicKey, seqLen, kDim, rng } = round
    const job = { blockHash, publicKey, model, seqLen, kDim, strongerRng: rng === 'concat-murmur' }
    const artifacts: { nonce: number; vector: Uint8Array }[] = []
    let computed = 0
    for await (const done of engine.generate(job, Array.from(round.nonces, Number), batch, io.signal)) {
      artifacts.push(...done.artifacts)
      computed += done.computed.length
      progress.update(`${computed} of ${round.nonces.length} nonces`, computed / round.nonces.length)
    }
    return { artifacts, traces: [], engine: { url }, seconds: (performance.now() - started) / 1000 }
  } finally {
    progress.done()
    http.close()
    await engine.close()
  }
}
