/** Figures and verdicts as tables for people, as Markdown and as CSV. */
import { formatTable, siNumber, threeDigits } from '../terminal.ts'
import type { BenchFigure, BenchReport, Calibration } from './bench.ts'
import type { ComparedCase, ComparisonReport } from './compare.ts'
import { disturbances } from './machine.ts'
import { overheads } from './overhead.ts'

/** "106 Gflop/s" */
export function rateText(rate: number, unit: string): string {
  const scaled = siNumber(rate)
  return `${scaled}${/[a-z]$/i.test(scaled) ? '' : ' '}${unit}/s`
}

/** "20.2 ms", "31.0 us" */
export function durationText(ns: number): string {
  const units = ['ns', 'us', 'ms', 's'] as const
  let value = ns
  let i = 0
  while (value >= 999.5 && i < units.length - 1) {
    value /= 1000
    i++
  }
  return `${threeDigits(value)} ${units[i]}`
}

export function percentText(fraction: number, digits = 1): string {
  return `${(fraction * 100).toFixed(digits)}%`
}

/** As it was asked for: "99%", "99.9%". */
export function confidenceText(confidence: number): string {
  return `${Number((confidence * 100).toPrecision(12))}%`
}

/** Half the interval of the median, relative. */
function intervalText({ intervalNs, medianNs }: BenchFigure): string {
  return `±${percentText((intervalNs.high - intervalNs.low) / 2 / medianNs)}`
}

function ceilingText({ ceiling }: BenchFigure): string {
  return ceiling === null ? '' : `${percentText(ceiling.fraction)}${ceiling.bound === 'memory' ? ' mem' : ''}`
}

function joulesText({ energy, unit }: BenchFigure): string {
  return energy.joulesPerOperation === null ? '' : `${siNumber(energy.joulesPerOperation)}J/${unit}`
}

const figureColumns = ['case', 'rate', 'median', '±', 'spread', 'of peak', 'implementation'] as const

function figureRow(figure: BenchFigure): string[] {
  if (figure.skipped !== null) return [figure.name, '', 'skipped', '', '', '', figure.skipped]
  const { name, medianNs, rate, unit, spread, samples, implementation, stoppedBy } = figure
  const notes = [`${samples} samples`, ...(stoppedBy === 'time' ? ['time up'] : []), joulesText(figure)].filter(Boolean)
  return [
    name,
    rateText(rate, unit),
    durationText(medianNs),
    intervalText(figure),
    percentText(spread),
    ceilingText(figure),
    `${implementation} (${notes.join(', ')})`,
  ]
}

/** One line per figure. */
export function figureTable(figures: readonly BenchFigure[]): string {
  return formatTable(figureColumns, figures.map(figureRow), new Set([1, 2, 3, 4, 5]))
}

export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  return line(header) + line(header.map(() => '---')) + rows.map(line).join('')
}

export function figureMarkdown(report: BenchReport): string {
  return `${markdownTable(figureColumns, report.figures.map(figureRow))}\n${conditions(report).join('  \n')}\n`
}

/** What the figures were measured on and under: sentences. */
export function conditions(report: BenchReport): string[] {
  const { method, devices, calibrations, figures } = report
  const out = devices.map(
    ({ id, name, threads }) => `${id} ${name}${threads > 0 ? `, ${threads} thread${threads === 1 ? '' : 's'}` : ''}`,
  )
  out.push(
    `${report.created.slice(0, 16).replace('T', ' ')} UTC, ${report.tool}; median with its ${confidenceText(method.confidence)} interval, ` +
      `spread = interquartile range, ${method.cold ? 'cold' : 'warm'} caches` +
      `${report.cpus.length > 0 ? `, on processors ${report.cpus.join(', ')}` : ''}`,
  )
  if (calibrations.length > 0) out.push(calibrationText(calibrations))
  for (const { name, beside, fraction, low, high } of overheads(figures))
    out.push(
      `${name} took ${percentText(Math.abs(fraction))} ${fraction < 0 ? 'less' : 'more'} time than ${beside} ` +
        `(${percentText(low)} to ${percentText(high)})`,
    )
  const unsteady = figures.filter(({ warmUp, skipped }) => skipped === null && warmUp?.stable === false).length
  if (unsteady > 0) out.push(`${unsteady} of ${figures.length} cases did not become steady during warm-up`)
  const disturbed = disturbances(report.load)
  out.push(
    disturbed.length > 0
      ? `not a quiet machine: ${disturbed.join('; ')}`
      : `a quiet machine: others used ${report.load.otherCpus === null ? 'an unknown share' : percentText(report.load.otherCpus)} of a processor`,
  )
  const energy = figures.find(({ skipped }) => skipped === null)?.energy
  if (energy) out.push(`energy: ${energy.source}`)
  return out
}

function calibrationText(calibrations: readonly Calibration[]): string {
  const range = (of: (one: Calibration) => number): string => {
    const values = calibrations.map(of)
    const [low, high] = [Math.min(...values), Math.max(...values)]
    return high === 0 ? '-' : `${threeDigits(low)}..${threeDigits(high)}`
  }
  return (
    `measured ceilings, lowest..highest of ${calibrations.length}: f32 ${range((one) => one.f32Gflops)} Gflop/s, ` +
    `bf16 ${range((one) => one.bf16Gflops)} Gflop/s, i8 ${range((one) => one.i8Gops)} Gop/s, ` +
    `SHA-256 ${range((one) => one.shaMblocksPerS)} Mblock/s, copy ${range((one) => one.copyGbPerS)} GB/s, ` +
    `clock ${range((one) => one.clockGhz)} GHz`
  )
}

function csvCell(value: string | number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return ''
  const text = String(value)
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** RFC 4180 with a header line: one line per figure. */
export function figureCsv(figures: readonly BenchFigure[]): string {
  const columns: [string, (figure: BenchFigure) => string | number | null | undefined][] = [
    ['name', ({ name }) => name],
    ['suite', ({ suite }) => suite],
    ['device', ({ device }) => device],
    ['threads', ({ threads }) => threads],
    ['implementation', ({ implementation }) => implementation],
    ['skipped', ({ skipped }) => skipped],
    ['samples', ({ samples }) => samples],
    ['median_ns', ({ medianNs }) => medianNs],
    ['low_ns', ({ intervalNs }) => intervalNs.low],
    ['high_ns', ({ intervalNs }) => intervalNs.high],
    ['min_ns', ({ minNs }) => minNs],
    ['spread', ({ spread }) => spread],
    ['rate', ({ rate }) => rate],
    ['unit', ({ unit }) => unit],
    ['bytes_per_second', ({ bytesPerSecond }) => bytesPerSecond],
    ['bound', ({ ceiling }) => ceiling?.bound],
    ['peak_fraction', ({ ceiling }) => ceiling?.fraction],
    ['joules_per_operation', ({ energy }) => energy.joulesPerOperation],
    ['stopped_by', ({ stoppedBy }) => stoppedBy],
  ]
  const lines = [
    columns.map(([name]) => name),
    ...figures.map((figure) => columns.map(([, of]) => csvCell(of(figure)))),
  ]
  return lines.map((cells) => `${cells.join(',')}\r\n`).join('')
}

const comparisonColumns = ['case', 'verdict', 'a', 'b', 'time b / a', 'interval', 'p', 'blocks'] as const

function comparisonRow({ name, verdict, aNs, bNs, ratio, interval, pValue, blocks }: ComparedCase): string[] {
  const change = (value: number): string => {
    if (!Number.isFinite(value)) return 'unbounded'
    return `${value >= 1 ? '+' : ''}${percentText(value - 1, 2)}`
  }
  const p = pValue < 1e-4 ? pValue.toExponential(0) : pValue.toFixed(4)
  return [
    name,
    verdict,
    durationText(aNs),
    durationText(bNs),
    change(ratio),
    `${change(interval.low)} .. ${change(interval.high)}`,
    p,
    String(blocks),
  ]
}

export function comparisonTable(report: ComparisonReport): string {
  const table = formatTable(comparisonColumns, report.cases.map(comparisonRow), new Set([2, 3, 4, 5, 6, 7]))
  return `${table}${[...comparisonNotes(report), summaryLine(report)].map((line) => `${line}\n`).join('')}`
}

/** For a pull request: what changed first, everything below a fold. */
export function comparisonMarkdown(report: ComparisonReport): string {
  const changed = report.cases.filter(({ verdict }) => verdict === 'slower' || verdict === 'faster')
  const rows = (cases: readonly ComparedCase[]): string => markdownTable(comparisonColumns, cases.map(comparisonRow))
  return (
    `**${summaryLine(report)}**\n\n` +
    (changed.length > 0 ? `${rows(changed)}\n` : '') +
    `<details><summary>all ${report.cases.length} cases</summary>\n\n${rows(report.cases)}\n` +
    `${comparisonNotes(report)
      .map((line) => `- ${line}\n`)
      .join('')}\n</details>\n`
  )
}

export function summaryLine({ cases }: ComparisonReport): string {
  const count = (wanted: ComparedCase['verdict']): number => cases.filter(({ verdict }) => verdict === wanted).length
  return `${count('slower')} slower, ${count('faster')} faster, ${count('same')} the same, ${count('cannot tell')} cannot tell`
}

function comparisonNotes(report: ComparisonReport): string[] {
  const { mode, threshold, confidence, a, b, left, remarks } = report
  return [
    `a: ${a}`,
    `b: ${b}`,
    mode === 'interleaved'
      ? 'calls of a and b in turn; Wilcoxon signed-rank test and bootstrap over blocks'
      : 'two runs at different times; Mann-Whitney test and bootstrap over blocks, with and without the drift of the machine',
    `threshold ${percentText(threshold)}; at confidence ${confidenceText(confidence)} for all ${report.cases.length} cases together (Holm)`,
    ...left.map(({ name, reason }) => `not compared: ${name}: ${reason}`),
    ...remarks,
  ]
}
