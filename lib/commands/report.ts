/**
 * report RESULT.json...: results of `bench --json` as one HTML file, the newest in full and the older ones as history.
 *
 * JSON: {"out", "picture", "bytes", "results", "cases"}.
 */
import { reportPage, reportPicture } from '../bench/report/page.ts'
import { readResultFile } from '../bench/result-file.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import { writeAtomically } from '../files.ts'
import { type Io, writeJson } from '../io.ts'
import { type Define, jsonOption } from './command.ts'

interface Options {
  readonly out?: string
  readonly picture?: string
  readonly force?: boolean
  readonly json?: boolean
}

export const define: Define = (command, run) => {
  command
    .argument('<result...>', 'files that bench --json or --save wrote')
    .option('--out <file>', 'the HTML file to write')
    .option('--picture <file>', 'the bars alone, as an SVG file')
    .option('--force', 'replace existing files')
    .option(...jsonOption)
    .action(run(report))
}

async function report(io: Io, files: string[], options: Options): Promise<number> {
  const { out, picture, force = false } = options
  if (out === undefined && picture === undefined)
    throw new GonkaError('ERR_GK_USAGE', 'nothing to write: pass --out report.html, or --picture figures.svg')
  const results = await Promise.all(files.map(readResultFile))
  const page = reportPage(results)
  if (out !== undefined) await writeAtomically(out, page, { force })
  if (picture !== undefined) await writeAtomically(picture, reportPicture(results), { force })
  const cases = results.reduce((sum, { figures }) => Math.max(sum, figures.length), 0)
  if (options.json) {
    writeJson(io, { out: out ?? null, picture: picture ?? null, bytes: page.length, results: results.length, cases })
  } else {
    for (const path of [out, picture]) if (path !== undefined) io.out.write(`${path}\n`)
  }
  return exitCodes.ok
}
