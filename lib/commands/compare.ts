/**
 * compare A.json B.json: two results of `bench --json`, case by case. Exit code 1 if a case is proven slower.
 *
 * JSON: as bench --baseline.
 */
import { compareResults, defaultConfidence, isRegression, runThreshold } from '../bench/compare.ts'
import { comparisonMarkdown, comparisonTable } from '../bench/render.ts'
import { readResultFile } from '../bench/result-file.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import { type Define, fraction, jsonOption } from './command.ts'

interface Options {
  readonly threshold: number
  readonly confidence: number
  readonly anyMachine?: boolean
  readonly json?: boolean
  readonly markdown?: boolean
}

export const define: Define = (command, run) => {
  command
    .argument('<a>', 'the earlier result')
    .argument('<b>', 'the result under judgement')
    .option('--threshold <p>', 'smallest change worth a word', fraction(0, 1), runThreshold)
    .option('--confidence <p>', 'of all verdicts together', fraction(0.5, 0.999999), defaultConfidence)
    .option('--any-machine', 'compare results of different machines')
    .option(...jsonOption)
    .option('--markdown', 'a table for a pull request')
    .action(run(compare))
}

async function compare(io: Io, a: string, b: string, options: Options): Promise<number> {
  if (options.json && options.markdown)
    throw new GonkaError('ERR_GK_USAGE', 'one form of output at a time: got --json and --markdown')
  const { threshold, confidence, anyMachine = false } = options
  const [first, second] = [await readResultFile(a), await readResultFile(b)]
  const report = compareResults(first, second, { threshold, confidence, anyMachine })
  if (options.json) writeJson(io, toJson(report))
  else io.out.write(options.markdown ? comparisonMarkdown(report) : comparisonTable(report))
  return isRegression(report) ? exitCodes.failed : exitCodes.ok
}
