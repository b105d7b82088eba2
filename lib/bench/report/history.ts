/** How the cases went over several results: time relative to the first, over the date, oldest first. */
import { durationText, percentText } from '../render.ts'
import type { ResultFigure, ResultFile } from '../result-file.ts'
import { drawing, element, escapeText, label } from './svg.ts'

const width = 360
const height = 84
const plot = { left: 40, right: width - 8, top: 24, bottom: 64 }

export interface HistoryRow {
  readonly name: string
  readonly svg: string
}

interface Point {
  readonly created: string
  readonly ns: number
  readonly figure: ResultFigure
}

/** Cases that ran in at least two of the results; results are sorted by their date. */
export function historyRows(results: readonly ResultFile[]): HistoryRow[] {
  const sorted = [...results].sort((a, b) => a.created.localeCompare(b.created))
  const names = [...new Set(sorted.flatMap(({ figures }) => figures.map(keyOf)))]
  return names.flatMap((key) => {
    const points = sorted.flatMap(({ created, figures }): Point[] => {
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

function changeText(ratio: number, digits = 0): string {
  return `${ratio >= 1 ? '+' : '−'}${percentText(Math.abs(ratio - 1), digits)}`
}

/** "11-22", with the hour where all of them are of one day. */
function dateText(created: string, oneDay: boolean): string {
  return oneDay ? created.slice(11, 16) : created.slice(0, 10)
}

function line(name: string, points: readonly Point[]): string {
  const times = points.map(({ created }) => Date.parse(created))
  const [from, to] = [times[0] ?? 0, times.at(-1) ?? 0]
  const first = points[0]?.ns ?? 1
  const ratios = points.map(({ ns }) => ns / first)
  const [low, high] = [Math.min(...ratios, 0.95), Math.max(...ratios, 1.05)]
  const x = (time: number): number =>
    plot.left + (to > from ? (time - from) / (to - from) : 0.5) * (plot.right - plot.left)
  const y = (ratio: number): number => plot.top + ((high - ratio) / (high - low)) * (plot.bottom - plot.top)
  const at = (i: number): [number, number] => [x(times[i] ?? 0), y(ratios[i] ?? 1)]
  const grid = (ratio: number, kind: string): string =>
    element('line', { x1: plot.left, x2: plot.right, y1: y(ratio), y2: y(ratio), class: kind })
  const tick = (ratio: number, text: string): string => label(plot.left - 4, y(ratio) + 3, text, 'end', 'tick')
  // The first result's line needs room for its label beside those of the ends.
  const ends = [low, high].filter((ratio) => Math.abs(y(ratio) - y(1)) >= 9)
  const oneDay = points[0]?.created.slice(0, 10) === points.at(-1)?.created.slice(0, 10)
  const dots = points.map(({ created, ns }, i) => {
    const [cx, cy] = at(i)
    const title = `<title>${escapeText(`${created.slice(0, 16)}: ${durationText(ns)}`)}</title>`
    return element('circle', { cx, cy, r: 2.5, class: 'mark' }, title)
  })
  const last = ratios.at(-1) ?? 1
  return drawing(
    width,
    height,
    `History of ${name}`,
    [
      label(4, 12, name.length <= 38 ? name : `${name.slice(0, 37)}…`, 'start', 'name'),
      label(width - 4, 12, `${durationText(points.at(-1)?.ns ?? 0)} · ${changeText(last, 1)}`, 'end', 'value'),
      ...ends.flatMap((ratio) => [grid(ratio, 'grid'), tick(ratio, changeText(ratio))]),
      grid(1, 'first'),
      tick(1, 'first'),
      element('polyline', { points: points.map((_, i) => at(i).map(shortNumber).join()).join(' '), class: 'path' }),
      ...dots,
      label(plot.left, height - 6, dateText(points[0]?.created ?? '', oneDay), 'start', 'tick'),
      label(plot.right, height - 6, dateText(points.at(-1)?.created ?? '', oneDay), 'end', 'tick'),
    ].join(''),
  )
}

function shortNumber(value: number): string {
  return value.toFixed(1)
}
