/** Bars: how near each case comes to what was measured to be possible, by kind; rates where nothing bounds a case. */
import { percentText, rateText } from '../render.ts'
import type { ResultFigure } from '../result-file.ts'
import { drawing, element, escapeText, label } from './svg.ts'

const width = 360
const rowHeight = 30
const titleHeight = 22
const barLeft = 4
const barRight = width - 4

/** One drawing per suite, in the order of the figures. */
export function barsBySuite(figures: readonly ResultFigure[]): { readonly suite: string; readonly svg: string }[] {
  const suites = [...new Set(figures.map(({ suite }) => suite))]
  return suites.flatMap((suite) => {
    const rows = figures.filter((figure) => figure.suite === suite && figure.skipped === null)
    if (rows.length === 0) return []
    return [{ suite, svg: drawing(width, rows.length * rowHeight + 6, `Cases of ${suite}`, rows.map(bar).join('')) }]
  })
}

/** All of them below each other, for a page that shows one picture. */
export function barsPicture(figures: readonly ResultFigure[], heading: string, notes: readonly string[]): string {
  const ran = figures.filter(({ skipped }) => skipped === null)
  const suites = [...new Set(ran.map(({ suite }) => suite))]
  let y = titleHeight
  const parts = [label(barLeft, 14, heading, 'start', 'heading')]
  for (const suite of suites) {
    for (const figure of ran.filter((one) => one.suite === suite)) {
      parts.push(element('g', { transform: `translate(0 ${y})` }, bar(figure, 0)))
      y += rowHeight
    }
    y += 6
  }
  for (const note of notes) {
    parts.push(label(barLeft, y + 10, note, 'start', 'small'))
    y += 12
  }
  return drawing(width, y + 6, heading, `${element('style', {}, pictureStyle)}${background(y + 6)}${parts.join('')}`)
}

function background(height: number): string {
  return element('rect', { x: 0, y: 0, width, height, class: 'paper' })
}

/** The name above, the bar below it with its figure at the end. */
function bar(figure: ResultFigure, row: number): string {
  const top = row * rowHeight
  const { name, rate, unit, ceiling, median_ns: middle, interval_ns: interval } = figure
  const share = ceiling === null ? null : ceiling.fraction
  const scale = (fraction: number): number => Math.min(1, Math.max(0, fraction)) * (barRight - barLeft)
  const figureText = `${rateText(rate ?? 0, unit)}${share === null ? '' : `  ${percentText(share)} of ${ceiling?.bound === 'memory' ? 'copy' : 'peak'}`}`
  const parts = [
    label(barLeft, top + 12, shorten(name), 'start', 'name'),
    label(barRight, top + 12, figureText, 'end', 'value'),
    element('rect', { x: barLeft, y: top + 17, width: barRight - barLeft, height: 7, class: 'track' }),
  ]
  if (share !== null) {
    const kind = ceiling?.bound === 'memory' ? 'bar memory' : 'bar'
    parts.push(element('rect', { x: barLeft, y: top + 17, width: scale(share), height: 7, class: kind }))
    if (middle !== null && interval.low !== null && interval.high !== null && interval.high > 0) {
      // A shorter time is a higher share.
      const [from, to] = [scale((share * middle) / interval.high), scale((share * middle) / interval.low)]
      parts.push(
        element('line', { x1: barLeft + from, x2: barLeft + to, y1: top + 20.5, y2: top + 20.5, class: 'whisker' }),
      )
    }
  }
  return element('g', {}, `<title>${escapeText(name)}</title>${parts.join('')}`)
}

/** What fits beside the figure on a phone. */
function shorten(name: string): string {
  return name.length <= 34 ? name : `${name.slice(0, 33)}…`
}

const pictureStyle =
  'text{font-family:system-ui,sans-serif;fill:#1d2733}.paper{fill:#fff}.heading{font-size:12px;font-weight:600}' +
  '.name,.value{font-size:9px}.value{fill:#4b5a6b}.small{font-size:7px;fill:#4b5a6b}.track{fill:#e8ecf1}.bar{fill:#2563a8}' +
  '.memory{fill:#b0641c}.whisker{stroke:#0b1a2b;stroke-width:1.5}'
