/**
 * serve: the ML node. Runs until interrupted; unsent artifacts stay on disk and are sent by the next start.
 *
 * JSON on standard output (--json), one line when ready: {"url", "inference_url", "engines", "version"}. Logs are JSON
 * lines on standard error.
 */
import type { Command } from 'commander'
import { exitCodes } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { resolveConfig, watchConfig } from '../node/config.ts'
import { createLog } from '../node/log.ts'
import { openNode } from '../node/node.ts'
import { flagOf, type Setting, settingsTable } from '../node/settings.ts'
import { type Define, jsonOption } from './command.ts'

type Options = Readonly<Record<string, string | boolean | undefined>>

const camel = (flag: string) => flag.replace(/^--/, '').replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

/** One option per setting, --config beside them. */
export function addSettingOptions(command: Command): void {
  command.option('--config <file>', 'TOML or JSON file with settings (default: $GONKA_MINER_CONFIG)')
  for (const setting of settingsTable as readonly Setting[]) {
    // Arguments can be read by every user of the machine.
    if (setting.secret) continue
    command.option(`${flagOf(setting.key)} <value>`, setting.help)
  }
}

/** The settings' sources of one command line. */
export function sourcesOf(options: Options, env: Io['env']) {
  const flags: Record<string, string | boolean | undefined> = {}
  for (const { key } of settingsTable) flags[key] = options[camel(flagOf(key))]
  const file = (options.config as string | undefined) ?? env.GONKA_MINER_CONFIG
  return { flags, env, file }
}

export const define: Define = (command, run) => {
  addSettingOptions(command)
  command.option(...jsonOption).action(run(serve))
}

async function serve(io: Io, options: Options): Promise<number> {
  const sources = sourcesOf(options, io.env)
  const config = resolveConfig(sources)
  const log = createLog(config.values['log.level'], { write: (line: string) => void io.err.write(line) })
  const node = await openNode(config.values, { log, env: io.env, native: io.native })
  if (options.json) {
    writeJson(io, {
      url: node.url,
      inference_url: node.inferenceUrl ?? null,
      engines: node.context.engineNames,
      version: node.context.version,
    })
  } else io.out.write(`${node.url}\n`)
  const watcher =
    sources.file === undefined
      ? undefined
      : watchConfig(
          { ...sources, file: sources.file },
          config,
          (next, changed, needRestart) => {
            node.reconfigure(next.values)
            if (changed.length > 0) log.info({ changed }, 'settings changed')
            if (needRestart.length > 0)
              log.warn({ settings: needRestart }, 'these settings take effect after a restart')
          },
          (message) => log.error({ message }, 'the changed configuration is invalid; the old one stays'),
        )
  const reload = () => watcher?.reload()
  process.on('SIGHUP', reload)
  try {
    await new Promise<void>((resolve) => {
      if (io.signal.aborted) resolve()
      else io.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    log.info({}, 'stopping')
  } finally {
    process.off('SIGHUP', reload)
    watcher?.close()
    await node.close()
  }
  return exitCodes.ok
}
