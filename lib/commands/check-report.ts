/** How self-test and conformance results are shown and counted. */
import { exitCodes } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import type { CheckResult, CheckSummary } from '../native-api.ts'
import { paint, startProgress, threeDigits } from '../terminal.ts'

export interface CheckReport {
  /** device: where results of several come together. */
  add(result: CheckResult, device?: string): void
  /** Writes the rest; returns the exit code: failures and an empty run are failures. */
  finish(summary: CheckSummary, facts: Readonly<Record<string, unknown>>): number
  /** Removes the live line after an error. */
  abandon(): void
}

/** Failures and skips appear as they happen; with json everything comes as one document at the end. */
export function startCheckReport(io: Io, json: boolean): CheckReport {
  const results: (CheckResult & { readonly device?: string })[] = []
  const progress = startProgress(io)
  let passed = 0
  return {
    add(result, device) {
      if (json) results.push(device === undefined ? result : { device, ...result })
      if (result.status === 'pass') {
        passed++
        progress.update(`${passed} cases passed; ${result.op} ${result.implementation}`)
        return
      }
      if (json) return
      progress.done()
      const mark = result.status === 'fail' ? paint(io, io.out, 'red', 'FAIL') : paint(io, io.out, 'dim', 'skip')
      const errors =
        result.status === 'fail' && result.elementError !== null
          ? ` (worst element ${threeDigits(result.elementError)} x tolerance, aggregate ${threeDigits(result.aggregateError ?? 0)})`
          : ''
      const where = device === undefined ? '' : `${device} `
      io.out.write(`${mark} ${where}${result.op} ${result.implementation}: ${result.case}: ${result.detail}${errors}\n`)
    },
    finish(summary, facts) {
      progress.done()
      const { passed, failed, skipped } = summary
      const empty = passed + failed === 0
      if (json) writeJson(io, { ...facts, passed, failed, skipped, results: toJson(results) })
      else
        io.out.write(`${passed} passed, ${failed} failed, ${skipped} skipped${empty ? ': nothing was tested' : ''}\n`)
      return failed > 0 || empty ? exitCodes.failed : exitCodes.ok
    },
    abandon: () => progress.done(),
  }
}
