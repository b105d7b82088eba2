/**
 * model make-tiny | digest: model files for tests and demonstrations, and names for them.
 *
 * JSON of make-tiny: {"directory", "family" or null, "preset" or null, "seed", "parameters", "bytes"}; of digest:
 * {"directory", "digest"}.
 */
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { siNumber, startProgress } from '../terminal.ts'
import { type Define, integer, jsonOption } from './command.ts'

interface MakeOptions {
  readonly family?: string
  readonly preset?: string
  readonly seed: number
  readonly json?: boolean
}

export const define: Define = (command, run) => {
  command
    .command('make-tiny')
    .description('write a small random but valid model')
    .argument('<dir>', 'made if it does not exist; must hold no model')
    .option('--family <name>', "llama, mistral, qwen2, qwen3 or qwen3-moe; the preset's if absent")
    .option('--preset <name>', 'a published shape instead of a tiny one: qwen3-0.6b, llama-3.2-1b')
    .option('--seed <n>', 'the same seed gives the same bytes everywhere', integer(0), 0)
    .option(...jsonOption)
    .action(run(makeTiny))
  command
    .command('digest')
    .description('name a model by what it computes')
    .argument('<dir>', 'a Hugging Face directory')
    .option(...jsonOption)
    .action(run(digest))
}

async function makeTiny(io: Io, directory: string, options: MakeOptions): Promise<number> {
  const { family, preset, seed } = options
  if (family === undefined && preset === undefined) {
    throw new GonkaError('ERR_GK_USAGE', "one of '--family <name>' and '--preset <name>' is required")
  }
  const { makeFolder } = await import('../files.ts')
  await makeFolder(directory)
  const native = await io.native()
  const request = { directory, family: family ?? '', seed, ...(preset === undefined ? {} : { preset }) }
  const files = await native.makeTinyModel(request)
  if (options.json) {
    const { parameters, bytes } = files
    writeJson(io, { directory, family: family ?? null, preset: preset ?? null, seed, parameters, bytes })
  } else {
    io.out.write(
      `${directory}: ${[family, preset].filter(Boolean).join(' ')}, ${siNumber(files.parameters)} parameters, ` +
        `${siNumber(files.bytes)}B\n`,
    )
  }
  return exitCodes.ok
}

async function digest(io: Io, directory: string, options: { readonly json?: boolean }): Promise<number> {
  const native = await io.native()
  const progress = startProgress(io)
  try {
    const text = await native.modelDigest(directory, (fraction, step) => progress.update(step, fraction), io.signal)
    progress.done()
    if (options.json) writeJson(io, { directory, digest: text })
    else io.out.write(`${text}\n`)
    return exitCodes.ok
  } finally {
    progress.done()
  }
}
