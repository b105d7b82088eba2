/**
 * doctor: looks at the machine and, where asked, at settings, a running node, the network around it. Every finding has its
 * cause and one command that fixes it. Needs no compiler.
 *
 * JSON: {"ok", "checks": [{"name", "status" ("ok", "warning", "failure"), "detail", "fix": text or null}]}.
 * Exit code 1 if a check failed.
 */
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { paint } from '../terminal.ts'
import { type Define, jsonOption } from './command.ts'

export const define: Define = (command, run) => {
  command
    .option('--key <file>', 'check this key file')
    .option('--path <folder>', 'check the disk of this folder', '.')
    .option('--serve', 'check the settings, ports, folders and certificates that serve would start with')
    .option('--config <file>', 'the same with this settings file')
    .option('--node <url>', 'check a node that runs, as http://127.0.0.1:8080 (token: GONKA_MINER_LISTEN_TOKEN)')
    .option('--seed <url>', 'check a host of the network, as http://node2.gonka.ai:8000')
    .option('--address <address>', 'check this account there')
    .option('--admin <url>', "check the network node's admin API, as http://localhost:9200")
    .option('--callback <url>', 'check that callbacks to this URL are allowed and arrive')
    .option(...jsonOption)
    .action(run(doctor))
}

interface Options {
  readonly key?: string
  readonly path: string
  readonly serve?: boolean
  readonly config?: string
  readonly node?: string
  readonly seed?: string
  readonly address?: string
  readonly admin?: string
  readonly callback?: string
  readonly json?: boolean
}

async function doctor(io: Io, options: Options): Promise<number> {
  if (options.address !== undefined && options.seed === undefined) {
    throw new GonkaError('ERR_GK_USAGE', '--address is looked up at a host of the network: give --seed URL too')
  }
  const { runChecks } = await import('../doctor.ts')
  const file = options.config ?? io.env.GONKA_MINER_CONFIG
  const checks = await runChecks({
    ...{ folder: options.path, native: io.native, now: io.now, signal: io.signal },
    ...(options.key === undefined ? {} : { keyFile: options.key }),
    ...(options.serve || options.config !== undefined ? { config: { env: io.env, file } } : {}),
    ...(options.node === undefined ? {} : { node: { url: options.node, token: io.env.GONKA_MINER_LISTEN_TOKEN } }),
    ...(options.seed === undefined ? {} : { seed: { url: options.seed, address: options.address } }),
    ...(options.admin === undefined ? {} : { admin: options.admin }),
    ...(options.callback === undefined ? {} : { callback: options.callback }),
  })
  const ok = checks.every(({ status }) => status !== 'failure')
  if (options.json) {
    writeJson(io, { ok, checks })
    return ok ? exitCodes.ok : exitCodes.failed
  }
  const marks = { ok: ['green', 'ok     '], warning: ['yellow', 'warning'], failure: ['red', 'FAILURE'] } as const
  for (const { name, status, detail, fix } of checks) {
    const [style, word] = marks[status]
    io.out.write(`${paint(io, io.out, style, word)} ${name}: ${detail}\n${fix === null ? '' : `        fix: ${fix}\n`}`)
  }
  return ok ? exitCodes.ok : exitCodes.failed
}
