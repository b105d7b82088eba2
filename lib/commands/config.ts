/**
 * config print: every setting of `serve` with its value and where it comes from. Secrets show as "set".
 * JSON (--json): {"settings": [{"key", "value", "origin", "help"}]}.
 */
import { exitCodes } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { printConfig, resolveConfig } from '../node/config.ts'
import { type Define, jsonOption } from './command.ts'
import { addSettingOptions, sourcesOf } from './serve.ts'

type Options = Readonly<Record<string, string | boolean | undefined>>

export const define: Define = (command, run) => {
  const print = command.command('print').description('all settings, with origins')
  addSettingOptions(print)
  print.option(...jsonOption).action(
    run(async (io: Io, options: Options) => {
      const lines = printConfig(resolveConfig(sourcesOf(options, io.env)))
      if (options.json) writeJson(io, { settings: lines })
      else {
        const keyWidth = Math.max(...lines.map((line) => line.key.length))
        const values = lines.map((line) => JSON.stringify(line.value))
        const valueWidth = Math.min(40, Math.max(...values.map((value) => value.length)))
        lines.forEach((line, i) => {
          io.out.write(`${line.key.padEnd(keyWidth)}  ${(values[i] as string).padEnd(valueWidth)}  ${line.origin}\n`)
        })
      }
      return exitCodes.ok
    }),
  )
}
