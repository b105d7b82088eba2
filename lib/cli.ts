/** argv -> command -> exit code. Each command's file is imported only when it is the one that runs. */
import type { Command } from 'commander'
import type { Define, Run } from './commands/command.ts'
import { exitCodeOf, exitCodes, GonkaError, isGonkaError } from './errors.ts'
import type { Io } from './io.ts'
import { packageVersion } from './package-info.ts'

interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly example: string
  readonly load: () => Promise<{ readonly define: Define }>
}

/** In the order of the help text. */
const entries: readonly CommandEntry[] = [
  {
    name: 'demo',
    summary: 'all of it in about a minute: devices, self-test, bench, a proof, its verification',
    example: 'gonka-miner demo',
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'doctor',
    summary: 'check this machine; every finding comes with the command that fixes it',
    example: 'gonka-miner doctor --key miner.json',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'devices',
    summary: 'list backends, devices and which implementation would run each op',
    example: 'gonka-miner devices',
    load: () => import('./commands/devices.ts'),
  },
  {
    name: 'selftest',
    summary: 'run the known answers of every implementation on a device',
    example: 'gonka-miner selftest --device cpu:0',
    load: () => import('./commands/selftest.ts'),
  },
  {
    name: 'conformance',
    summary: "run the full suite on a device or on a vendor's library",
    example: 'gonka-miner conformance --backend ./libvendor.so',
    load: () => import('./commands/conformance.ts'),
  },
  {
    name: 'bench',
    summary: 'measure gemm, attention, hashing, random numbers and PoC rounds',
    example: 'gonka-miner bench gemm attention --seconds 2',
    load: () => import('./commands/bench.ts'),
  },
  {
    name: 'compare',
    summary: 'two results of bench: what became faster, slower, stayed the same, or cannot be told',
    example: 'gonka-miner compare before.json after.json --threshold 2%',
    load: () => import('./commands/compare.ts'),
  },
  {
    name: 'report',
    summary: 'results of bench as one HTML file: roofline, bars, history',
    example: 'gonka-miner report result.json --out report.html',
    load: () => import('./commands/report.ts'),
  },
  {
    name: 'poc',
    summary: 'compute or validate one PoC round by hand',
    example: 'gonka-miner poc v1 --block-hash 9F2C --public-key 02a1 --nonces 0-63 --json',
    load: () => import('./commands/poc.ts'),
  },
  {
    name: 'artifacts',
    summary: 'commit to the artifacts of a stage, and prove that one is among them',
    example: 'gonka-miner artifacts prove round.json --nonce 7 --json',
    load: () => import('./commands/artifacts.ts'),
  },
  {
    name: 'model',
    summary: 'write a small random model, or name a model by its digest',
    example: 'gonka-miner model make-tiny ./tiny --family qwen3 --seed 1',
    load: () => import('./commands/model.ts'),
  },
  {
    name: 'prove',
    summary: 'compute a PoC round or exact products, and sign them into a proof file',
    example: 'gonka-miner prove v1 --key miner.json --block-hash 9F2C --count 256 --out proof.gkp',
    load: () => import('./commands/prove.ts'),
  },
  {
    name: 'verify',
    summary: 'check a proof file: form, signature, and a sample computed anew',
    example: 'gonka-miner verify proof.gkp --sample all',
    load: () => import('./commands/verify.ts'),
  },
  {
    name: 'challenge',
    summary: 'issue fresh challenges and certify the time of their proofs; check a certificate',
    example: 'gonka-miner challenge serve --key issuer.json --data ./challenges',
    load: () => import('./commands/challenge.ts'),
  },
  {
    name: 'keys',
    summary: 'create, import or show a key of the Gonka chain',
    example: 'gonka-miner keys create --key miner.json',
    load: () => import('./commands/keys.ts'),
  },
  {
    name: 'serve',
    summary: 'run the ML node that a Gonka network node drives',
    example: 'gonka-miner serve --listen-port 8080',
    load: () => import('./commands/serve.ts'),
  },
  {
    name: 'status',
    summary: 'show what a running node does and what it would earn',
    example: 'gonka-miner status --epoch 403 --total-weight 100000 --coefficient 0.3024',
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'simulate',
    summary: 'run a whole Gonka network on this machine with real ML nodes',
    example: 'gonka-miner simulate --nodes 3 --epochs 2',
    load: () => import('./commands/simulate.ts'),
  },
  {
    name: 'join',
    summary: 'register a host at a seed, grant its warm key, announce its ML node',
    example:
      'gonka-miner join --seed http://node2.gonka.ai:8000 --url http://203.0.113.5:8000 --key cold.json --validator-key ... --dry-run',
    load: () => import('./commands/join.ts'),
  },
  {
    name: 'keyring',
    summary: 'keep several keys in one encrypted file',
    example: 'gonka-miner keyring list --file keyring.json',
    load: () => import('./commands/keyring.ts'),
  },
  {
    name: 'config',
    summary: 'show the settings of serve and where they come from',
    example: 'gonka-miner config print',
    load: () => import('./commands/config.ts'),
  },
  {
    name: 'service',
    summary: 'print files that run the node as a service',
    example: 'gonka-miner service print systemd',
    load: () => import('./commands/service.ts'),
  },
  {
    name: 'completion',
    summary: 'print a completion script for bash, zsh or fish',
    example: 'source <(gonka-miner completion bash)',
    load: () => import('./commands/completion.ts'),
  },
]

/**
 * Runs one command line (without node and script) and returns its exit code: 0 done, 1 failed or a negative verdict,
 * 2 misuse or unreadable input, 130 interrupted. Never throws and never ends the process.
 */
export async function main(argv: readonly string[], io?: Io): Promise<number> {
  if (io) return runCommand(argv, io)
  const { processIo } = await import('./process-io.ts')
  const own = processIo()
  try {
    const code = await runCommand(argv, own)
    return own.stopCode() ?? code
  } finally {
    own.release()
  }
}

async function runCommand(argv: readonly string[], io: Io): Promise<number> {
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    io.out.write(`${packageVersion()}\n`)
    return exitCodes.ok
  }
  let code: number = exitCodes.ok
  const run: Run =
    (action) =>
    async (...given) => {
      code = await action(io, ...given)
    }
  try {
    const named = argv.find((word) => !word.startsWith('-'))
    const wanted = named === 'help' ? argv.find((word) => !word.startsWith('-') && word !== 'help') : named
    if (named === 'help' && wanted !== undefined && !entries.some(({ name }) => name === wanted)) {
      throw new GonkaError('ERR_GK_USAGE', `unknown command '${wanted}'; see: gonka-miner --help`)
    }
    const program = await commandTree(io, run, (name) => name === wanted)
    await program.parseAsync(argv as string[], { from: 'user' })
    return code
  } catch (error) {
    return report(error, io)
  }
}

/** The whole command line; options and actions only of the commands that `complete` picks. */
async function commandTree(io: Io, run: Run, complete: (name: string) => boolean): Promise<Command> {
  const { Command } = await import('commander')
  const program = new Command('gonka-miner')
    .description('Benchmark AI hardware, join the Gonka network with it, and prove the compute to anyone.')
    .version(packageVersion())
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      getOutHelpWidth: () => io.out.columns ?? 80,
      getErrHelpWidth: () => io.err.columns ?? 80,
    })
    .addHelpText('after', `\nExamples:\n${entries.map((entry) => `  ${entry.example}\n`).join('')}`)
  for (const entry of entries) {
    const command = program.command(entry.name).description(entry.summary)
    if (!complete(entry.name)) {
      // Never called: the command that the command line names is always complete.
      command.action(() => undefined)
      continue
    }
    const { define } = await entry.load()
    define(command, run, () => commandTree(io, run, () => true))
    command.addHelpText('after', `\nExample:\n  ${entry.example}\n`)
  }
  return program
}

/** Says on `err` what went wrong; returns the exit code. */
function report(error: unknown, io: Io): number {
  if (isCommanderError(error)) {
    // commander has written the message, or the help text that was asked for.
    return error.exitCode === 0 ? exitCodes.ok : exitCodes.misuse
  }
  if (io.signal.aborted && !isGonkaError(error, 'ERR_GK_INTERNAL')) {
    io.err.write('interrupted\n')
    return exitCodes.interrupted
  }
  if (isGonkaError(error)) {
    io.err.write(`${error.code}: ${error.message}\n`)
    return exitCodeOf(error)
  }
  const bug = error instanceof Error ? error : new GonkaError('ERR_GK_INTERNAL', String(error))
  io.err.write(`gonka-miner ${packageVersion()}, Node ${process.version}: unexpected error, please report it\n`)
  io.err.write(`${bug.stack ?? bug.message}\n`)
  return exitCodes.failed
}

function isCommanderError(error: unknown): error is Error & { exitCode: number } {
  return (
    error instanceof Error && 'exitCode' in error && String((error as { code?: unknown }).code).startsWith('commander.')
  )
}
