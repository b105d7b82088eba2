/** How the cases went over several results: time relative to the first, oldest first. */
import { durationText, percentText } from '../render.ts'
import type { ResultFigure, ResultFile } from '../result-file.ts'
import { drawing, element, escapeText, label } from './svg.ts'

const width = 360
const height = 64
const left = 4
const right = width - 4

export interface HistoryRow {
  readonly name: string
  readonly svg: string
}

/** Cases that ran in at least two of the results; results are sorted by their date. */
export function historyRows(results: readonly ResultFile[]): HistoryRow[] {
  const sorted = [...results].sort((a, b) => a.created.localeCompare(b.created))
  const names = [...new Set(sorted.flatMap(({ figures }) => figures.map(keyOf)))]
  return names.flatMap((key) => {
    const points = sorted.flatMap(({ created, figures }) => {
      const figure = figures.find((one) => keyOf(one) === key)
      return figure && figure.median_ns !== null && figure.skipped === null
        ? [{ created, ns: figure.median_ns, figure }]
        : []
    })
    const first = points[0]
    return first && points.length >= 2 ? [{ name: first.figure.name, svg: line(first.figure.name, points) }] : []
  })
}

function keyOf({ name, device, threads }: ResultFigure): string {
  return `${name} ${device} ${threads}`
}

function line(name: string, points: readonly { readonly created: string; readonly ns: number }[]): string {
  const first = points[0]?.ns ?? 1
  const last = points.at(-1)?.ns ?? 1
  const ratios = points.map(({ ns }) => ns / first)
  const [low, high] = [Math.min(...ratios, 0.95), Math.max(...ratios, 1.05)]
  const x = (i: number): number => left + 4 + (i / (points.length - 1)) * (right - left - 8)
  const y = (ratio: number): number => 24 + ((high - ratio) / (high - low)) * (height - 32)
  const path = ratios.map((ratio, i) => `${x(i).toFixed(1)},${y(ratio).toFixed(1)}`).join(' ')
  const change = last / first - 1
  const dots = ratios.map((ratio, i) => {
    const title = `<title>${escapeText(`${points[i]?.created.slice(0, 16)}: ${durationText(points[i]?.ns ?? 0)}`)}</title>`
    return element('circle', { cx: x(i), cy: y(ratio), r: 2.5, class: 'mark' }, title)
  })
  return drawing(
    width,
    height,
    `History of ${name}`,
    [
      label(left, 12, name.length <= 40 ? name : `${name.slice(0, 39)}…`, 'start', 'name'),
      label(right, 12, `${durationText(last)}, ${change >= 0 ? '+' : ''}${percentText(change)}`, 'end', 'value'),
      element('line', { x1: left, x2: right, y1: y(1), y2: y(1), class: 'grid' }),
      element('polyline', { points: path, class: 'path' }),
      ...dots,
    ].join(''),
  )
}
