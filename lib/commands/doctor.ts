/**
 * doctor: looks at the machine; every finding has its cause and one command that fixes it. Needs no compiler.
 *
 * JSON: {"ok", "checks": [{"name", "status" ("ok", "warning", "failure"), "detail", "fix": text or null}]}.
 * Exit code 1 if a check failed.
 */
import { exitCodes } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { paint } from '../terminal.ts'
import { type Define, jsonOption } from './command.ts'

export const define: Define = (command, run) => {
  command
    .option('--key <file>', 'check this key file')
    .option('--path <folder>', 'check the disk of this folder', '.')
    .option(...jsonOption)
    .action(run(doctor))
}

async function doctor(
  io: Io,
  options: { readonly key?: string; readonly path: string; readonly json?: boolean },
): Promise<number> {
  const { runChecks } = await import('../doctor.ts')
  const checks = await runChecks({
    folder: options.path,
    native: io.native,
    now: io.now,
    signal: io.signal,
    ...(options.key === undefined ? {} : { keyFile: options.key }),
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
