/** The roofline: what a machine's arithmetic and memory allow at each intensity, and where the cases lie. */
import { siNumber } from '../../terminal.ts'
import type { ResultFile } from '../result-file.ts'
import { median } from '../summary.ts'
import { decades, drawing, element, escapeText, label } from './svg.ts'

interface Ceiling {
  readonly name: string
  /** Operations per second. */
  readonly rate: number
}

interface Mark {
  readonly name: string
  readonly suite: string
  /** Operations per byte. */
  readonly intensity: number
  readonly rate: number
  readonly unit: string
}

const width = 360
const plotHeight = 300
const margin = { left: 38, right: 10, top: 22, bottom: 34 }
const legendColumns = 3
const legendRow = 13
/** Colours that the page's style has. */
const colours = 6

/** Williams, Waterman and Patterson, CACM 52(4), 2009. Empty where nothing was calibrated or nothing has an intensity. */
export function rooflineSvg(result: ResultFile): string {
  const ceilings = ceilingsOf(result)
  const bandwidth = typical(result, ({ copy_gb_per_s }) => copy_gb_per_s * 1e9)
  const marks = marksOf(result)
  if (ceilings.length === 0 || bandwidth === 0 || marks.length === 0) return ''
  const top = Math.max(...ceilings.map(({ rate }) => rate))
  const intensities = marks.map(({ intensity }) => intensity)
  const xs = decades(Math.min(...intensities, 1), Math.max(...intensities, (top / bandwidth) * 4))
  const lowest = Math.min(...marks.map(({ rate }) => rate), bandwidth)
  const ys = decades(lowest, Math.max(top, ...marks.map(({ rate }) => rate)))
  const [x0, x1] = [xs[0] as number, xs.at(-1) as number]
  const [y0, y1] = [ys[0] as number, ys.at(-1) as number]
  const x = (value: number): number =>
    margin.left + (Math.log(value / x0) / Math.log(x1 / x0)) * (width - margin.left - margin.right)
  const y = (value: number): number =>
    plotHeight - margin.bottom - (Math.log(value / y0) / Math.log(y1 / y0)) * (plotHeight - margin.top - margin.bottom)
  const parts: string[] = []
  for (const tick of xs) {
    parts.push(element('line', { x1: x(tick), x2: x(tick), y1: y(y0), y2: y(y1), class: 'grid' }))
    parts.push(label(x(tick), plotHeight - margin.bottom + 12, tickText(tick), 'middle', 'tick'))
  }
  for (const tick of ys) {
    parts.push(element('line', { x1: x(x0), x2: x(x1), y1: y(tick), y2: y(tick), class: 'grid' }))
    parts.push(label(margin.left - 4, y(tick) + 3, tickText(tick), 'end', 'tick'))
  }
  parts.push(label((width + margin.left) / 2, plotHeight - 6, 'operations per byte', 'middle', 'axis'))
  parts.push(label(4, 9, 'flop/s, of integers op/s', 'start', 'axis'))
  const notes: string[] = []
  // Below this no point of the slope is in the picture.
  const slopeStart = Math.max(x0, y0 / bandwidth)
  for (const { name, rate } of ceilings) {
    const ridge = Math.min(x1, Math.max(slopeStart, rate / bandwidth))
    parts.push(element('line', { x1: x(ridge), x2: x(x1), y1: y(rate), y2: y(rate), class: 'ceiling' }))
    notes.push(label(x(x1) - 2, y(rate) - 3, `${name} ${tickText(rate)}`, 'end', 'note'))
  }
  const slopeEnd = Math.min(x1, top / bandwidth)
  const [sx, sy, ex, ey] = [x(slopeStart), y(slopeStart * bandwidth), x(slopeEnd), y(slopeEnd * bandwidth)]
  parts.push(element('line', { x1: sx, y1: sy, x2: ex, y2: ey, class: 'ceiling' }))
  const turn = (Math.atan2(ey - sy, ex - sx) * 180) / Math.PI
  const middle = `translate(${((sx + ex) / 2).toFixed(1)} ${((sy + ey) / 2).toFixed(1)}) rotate(${turn.toFixed(1)})`
  notes.push(element('g', { transform: middle }, label(0, -4, `copy ${tickText(bandwidth)}B/s`, 'middle', 'note')))
  const suites = [...new Set(marks.map(({ suite }) => suite))]
  const colour = (suite: string): string => `mark kind${suites.indexOf(suite) % colours}`
  for (const mark of marks) {
    const title = `<title>${escapeText(`${mark.name}: ${siNumber(mark.rate)}${mark.unit}/s at ${mark.intensity.toPrecision(3)} per byte`)}</title>`
    parts.push(element('circle', { cx: x(mark.intensity), cy: y(mark.rate), r: 3.5, class: colour(mark.suite) }, title))
  }
  parts.push(...notes)
  for (const [i, suite] of suites.entries()) {
    const left = 8 + (i % legendColumns) * (width / legendColumns)
    const line = plotHeight + Math.floor(i / legendColumns) * legendRow
    parts.push(element('rect', { x: left, y: line + 2, width: 7, height: 7, class: colour(suite) }))
    parts.push(label(left + 11, line + 9, suite, 'start', 'tick'))
  }
  const height = plotHeight + Math.ceil(suites.length / legendColumns) * legendRow + 2
  return drawing(width, height, 'Roofline: rate of each case over its operations per byte', parts.join(''))
}

/** "10", "100 G", "9.61 G" */
function tickText(value: number): string {
  return value >= 1 ? siNumber(value).replace(/\.0+(?=\D|$)/, '') : String(value)
}

function typical(result: ResultFile, of: (one: ResultFile['calibrations'][number]) => number): number {
  const values = result.calibrations.map(of).filter((value) => value > 0)
  return values.length === 0 ? 0 : median(values)
}

/** Those of nearly equal height are named together. */
function ceilingsOf(result: ResultFile): Ceiling[] {
  const all = [
    { name: 'f32', rate: typical(result, ({ f32_gflops }) => f32_gflops * 1e9) },
    { name: 'bf16', rate: typical(result, ({ bf16_gflops }) => bf16_gflops * 1e9) },
    { name: 'i8', rate: typical(result, ({ i8_gops }) => i8_gops * 1e9) },
  ]
  const out: Ceiling[] = []
  for (const { name, rate } of all.filter((one) => one.rate > 0).sort((a, b) => a.rate - b.rate)) {
    const below = out.at(-1)
    if (below && rate < below.rate * 1.25) out.splice(-1, 1, { name: `${below.name}, ${name}`, rate })
    else out.push({ name, rate })
  }
  return out
}

function marksOf(result: ResultFile): Mark[] {
  return result.figures.flatMap(({ name, suite, operations, bytes, rate, unit }) =>
    (unit === 'flop' || unit === 'op') && bytes > 0 && rate !== null && rate > 0
      ? [{ name, suite, intensity: operations / bytes, rate, unit }]
      : [],
  )
}
