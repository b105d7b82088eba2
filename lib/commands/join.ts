/**
 * join: register a host at a seed, grant its warm key, announce its ML node. Repeatable; --dry-run sends nothing.
 *
 * JSON (--json): {"steps": [{"step", "status": "done"|"already"|"planned"|"skipped", "detail", "plan"?}]}.
 */
import { chainClient, jsonFetch } from '../chain/chain-client.ts'
import { join, type NodeDescription } from '../chain/join.ts'
import { readKeyFile } from '../chain/key-file.ts'
import { openFromKeyring, readKeyring } from '../chain/keyring.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import type { Io } from '../io.ts'
import { type Define, integer, jsonOption } from './command.ts'
import { passphraseOf } from './keyring.ts'

interface Options {
  readonly seed: string
  readonly url: string
  readonly admin?: string
  readonly key?: string
  readonly keyring?: string
  readonly name: string
  readonly warm?: string
  readonly validatorKey: string
  readonly chainId: string
  readonly chainApi?: string
  readonly gasPrice: number
  readonly nodeId: string
  readonly nodeHost: string
  readonly inferencePort: number
  readonly pocPort: number
  readonly maxConcurrent: number
  readonly model: readonly string[]
  readonly hardware: readonly { type: string; count: number }[]
  readonly dryRun?: boolean
  readonly json?: boolean
}

const port = integer(1, 65_535)
const gather = (text: string, before: readonly string[]) => [...before, text]

function hardwareOf(text: string, before: readonly { type: string; count: number }[]) {
  const match = /^(.+?)(?:[:x](\d+))?$/.exec(text)
  return [...before, { type: match?.[1] ?? text, count: Number(match?.[2] ?? 1) }]
}

export const define: Define = (command, run) => {
  command
    .requiredOption('--seed <url>', 'a host of the network, as http://node2.gonka.ai:8000')
    .requiredOption('--url <url>', 'public URL of this host')
    .requiredOption('--validator-key <base64>', 'consensus public key (ed25519)')
    .option('--admin <url>', "the network node's admin API, as http://localhost:9200")
    .option('--key <file>', 'key file of the cold account')
    .option('--keyring <file>', 'keyring with the cold account, instead of --key')
    .option('--name <name>', 'its name in the keyring', 'cold')
    .option('--warm <address>', 'address of the warm key that gets the grants')
    .option('--chain-id <id>', 'chain', 'gonka-mainnet')
    .option('--chain-api <url>', "the chain's REST API (default: SEED/chain-api)")
    .option('--gas-price <n>', 'ngonka per unit of gas', integer(0, 1_000_000), 1)
    .option('--node-id <id>', 'name of the ML node', 'node1')
    .option('--node-host <host>', 'where the network node reaches the ML node', 'localhost')
    .option('--inference-port <n>', 'its inference port', port, 5050)
    .option('--poc-port <n>', 'its management port', port, 8080)
    .option('--max-concurrent <n>', 'requests at a time', integer(1, 1_000_000), 500)
    .option('--model <id>', 'model it serves; may be repeated', gather, [])
    .option('--hardware <type:count>', 'devices, as "NVIDIA H100 80GB HBM3:8"; may be repeated', hardwareOf, [])
    .option('--dry-run', 'print the decoded transactions and requests, send nothing')
    .option(...jsonOption)
    .action(run(runJoin))
}

async function runJoin(io: Io, options: Options): Promise<number> {
  if ((options.key === undefined) === (options.keyring === undefined)) {
    throw new GonkaError('ERR_GK_USAGE', 'give the cold account with --key FILE or with --keyring FILE')
  }
  if (!/^[A-Za-z0-9][\w.-]{0,63}$/.test(options.nodeId)) {
    throw new GonkaError('ERR_GK_USAGE', '--node-id must be 1 to 64 letters, digits, dots or dashes')
  }
  if (options.admin !== undefined && options.model.length === 0) {
    throw new GonkaError('ERR_GK_USAGE', '--admin announces an ML node, which needs at least one --model')
  }
  const cold =
    options.key !== undefined
      ? await readKeyFile(options.key)
      : await openFromKeyring(await readKeyring(options.keyring as string), options.name, await passphraseOf(io))
  const node: NodeDescription = {
    id: options.nodeId,
    host: options.nodeHost,
    inference_port: options.inferencePort,
    poc_port: options.pocPort,
    max_concurrent: options.maxConcurrent,
    models: Object.fromEntries(options.model.map((id) => [id, { args: [] }])),
    hardware: options.hardware,
  }
  const base = (url: string) => url.replace(/\/+$/, '')
  const send = jsonFetch(io.signal)
  const seed = base(options.seed)
  const chain = chainClient(seed, send, options.chainApi === undefined ? undefined : base(options.chainApi))
  const steps = await join(
    {
      url: base(options.url),
      cold,
      validatorKey: options.validatorKey,
      chainId: options.chainId,
      gasPrice: BigInt(options.gasPrice),
      dryRun: options.dryRun === true,
      ...(options.warm === undefined ? {} : { warmAddress: options.warm }),
      ...(options.admin === undefined ? {} : { admin: { url: base(options.admin), node } }),
    },
    {
      chain,
      send,
      signal: io.signal,
      onStep: (step) => {
        io.err.write(`${step.step.padEnd(12)} ${step.status.padEnd(8)} ${step.detail}\n`)
        if (step.plan !== undefined && !options.json) io.out.write(`${JSON.stringify(step.plan, null, 2)}\n`)
      },
    },
  )
  if (options.json) io.out.write(`${JSON.stringify({ steps })}\n`)
  return exitCodes.ok
}
