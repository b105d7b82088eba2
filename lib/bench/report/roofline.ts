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
  /** Operations per byte. */
  readonly intensity: number
  readonly rate: number
  readonly unit: string
}

const width = 360
const height = 300
const margin = { left: 42, right: 10, top: 12, bottom: 34 }

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
  const ys = decades(lowest, top)
  const [x0, x1] = [xs[0] as number, xs.at(-1) as number]
  const [y0, y1] = [ys[0] as number, ys.at(-1) as number]
  const x = (value: number): number =>
    margin.left + (Math.log(value / x0) / Math.log(x1 / x0)) * (width - margin.left - margin.right)
  const y = (value: number): number =>
    height - margin.bottom - (Math.log(value / y0) / Math.log(y1 / y0)) * (height - margin.top - margin.bottom)
  const parts: string[] = []
  for (const tick of xs) {
    parts.push(element('line', { x1: x(tick), x2: x(tick), y1: y(y0), y2: y(y1), class: 'grid' }))
    parts.push(label(x(tick), height - margin.bottom + 12, tickText(tick), 'middle', 'tick'))
  }
  for (const tick of ys) {
    parts.push(element('line', { x1: x(x0), x2: x(x1), y1: y(tick), y2: y(tick), class: 'grid' }))
    parts.push(label(margin.left - 4, y(tick) + 3, siNumber(tick).replace('.00', ''), 'end', 'tick'))
  }
  parts.push(label((width + margin.left) / 2, height - 6, 'operations per byte', 'middle', 'axis'))
  parts.push(label(margin.left, 9, 'operations per second', 'start', 'axis'))
  // Below this no point of the slope is in the picture.
  const slopeStart = Math.max(x0, y0 / bandwidth)
  for (const { name, rate } of ceilings) {
    const ridge = Math.min(x1, Math.max(slopeStart, rate / bandwidth))
    parts.push(element('line', { x1: x(ridge), x2: x(x1), y1: y(rate), y2: y(rate), class: 'ceiling' }))
    parts.push(label(x(x1) - 2, y(rate) - 3, name, 'end', 'note'))
  }
  const slopeEnd = Math.min(x1, top / bandwidth)
  parts.push(
    element('line', {
      x1: x(slopeStart),
      y1: y(slopeStart * bandwidth),
      x2: x(slopeEnd),
      y2: y(slopeEnd * bandwidth),
      class: 'ceiling',
    }),
  )
  parts.push(label(x(slopeStart) + 4, y(slopeStart * bandwidth) - 10, 'memory', 'start', 'note'))
  for (const mark of marks) {
    const title = `<title>${escapeText(`${mark.name}: ${siNumber(mark.rate)}${mark.unit}/s at ${mark.intensity.toPrecision(3)} per byte`)}</title>`
    parts.push(element('circle', { cx: x(mark.intensity), cy: y(mark.rate), r: 3.5, class: 'mark' }, title))
  }
  return drawing(width, height, 'Roofline: rate of each case over its operations per byte', parts.join(''))
}

function tickText(value: number): string {
  return value >= 1 ? siNumber(value).replace('.00', '').replace(' ', '') : String(value)
}

function typical(result: ResultFile, of: (one: ResultFile['calibrations'][number]) => number): number {
  const values = result.calibrations.map(of).filter((value) => value > 0)
  return values.length === 0 ? 0 : median(values)
}

/** Those of equal height are named together. */
function ceilingsOf(result: ResultFile): Ceiling[] {
  const all = [
    { name: 'f32', rate: typical(result, ({ f32_gflops }) => f32_gflops * 1e9) },
    { name: 'bf16', rate: typical(result, ({ bf16_gflops }) => bf16_gflops * 1e9) },
    { name: 'i8', rate: typical(result, ({ i8_gops }) => i8_gops * 1e9) },
  ]
  return all.filter(({ rate }) => rate > 0)
}

function marksOf(result: ResultFile): Mark[] {
  return result.figures.flatMap(({ name, operations, bytes, rate, unit }) =>
    (unit === 'flop' || unit === 'op') && bytes > 0 && rate !== null && rate > 0
      ? [{ name, intensity: operations / bytes, rate, unit }]
      : [],
  )
}
