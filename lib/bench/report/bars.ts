/** Bars: how near each case comes to what was measured to be possible, by kind; rates where nothing bounds a case. */
import { percentText, rateText } from '../render.ts'
import type { ResultFigure } from '../result-file.ts'
import { drawing, element, escapeText, label } from './svg.ts'

const width = 360
const rowHeight = 30
const scaleHeight = 16
const titleHeight = 22
const barLeft = 4
const barRight = width - 4
const barTop = 17
const barHeight = 7

/** One drawing per suite, in the order of the figures. */
export function barsBySuite(figures: readonly ResultFigure[]): { readonly suite: string; readonly svg: string }[] {
  const suites = [...new Set(figures.map(({ suite }) => suite))]
  return suites.flatMap((suite) => {
    const rows = figures.filter((figure) => figure.suite === suite && figure.skipped === null)
    if (rows.length === 0) return []
    const end = rows.length * rowHeight
    const content = rows.map(bar).join('') + scale(rows, end)
    return [{ suite, svg: drawing(width, end + scaleHeight, `Cases of ${suite}`, content) }]
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
  parts.push(scale(ran, y - 6))
  y += scaleHeight
  for (const note of notes) {
    parts.push(label(barLeft, y + 6, note, 'start', 'small'))
    y += 11
  }
  return drawing(width, y + 4, heading, `${element('style', {}, pictureStyle)}${background(y + 4)}${parts.join('')}`)
}

function background(height: number): string {
  return element('rect', { x: 0, y: 0, width, height, class: 'paper' })
}

const atFraction = (fraction: number): number => barLeft + Math.min(1, Math.max(0, fraction)) * (barRight - barLeft)

/** What the lengths mean, below the last bar; nothing where no case has a ceiling. */
function scale(rows: readonly ResultFigure[], y: number): string {
  if (rows.every(({ ceiling }) => ceiling === null)) return ''
  const ticks = [0, 0.5, 1].map((at) => {
    const x = atFraction(at)
    return element('line', { x1: x, x2: x, y1: y - 3, y2: y, class: 'scale' })
  })
  return [
    ...ticks,
    label(barLeft, y + 9, '0', 'start', 'tick'),
    label(atFraction(0.5), y + 9, '50%', 'middle', 'tick'),
    label(barRight, y + 9, '100% of the ceiling', 'end', 'tick'),
  ].join('')
}

/** The name above, the bar below it with its figure at the end. */
function bar(figure: ResultFigure, row: number): string {
  const top = row * rowHeight
  const { name, rate, unit, ceiling, median_ns: middle, interval_ns: interval } = figure
  const share = ceiling === null ? null : ceiling.fraction
  const bound = ceiling?.bound === 'memory' ? 'copy' : 'peak'
  const ofCeiling = share === null ? 'no ceiling' : `${percentText(share, 0)} of ${bound}`
  const text = `${rateText(rate ?? 0, unit)} · ${ofCeiling}`
  const parts = [
    label(barLeft, top + 12, shorten(name, text), 'start', 'name'),
    label(barRight, top + 12, text, 'end', 'value'),
  ]
  if (share !== null) {
    const y = top + barTop
    const length = (from: number, to: number) => ({ x: from, y, width: to - from, height: barHeight })
    parts.push(element('rect', { ...length(barLeft, barRight), class: 'track' }))
    const kind = ceiling?.bound === 'memory' ? 'bar memory' : 'bar'
    parts.push(element('rect', { ...length(barLeft, atFraction(share)), class: kind }))
    if (middle !== null && interval.low !== null && interval.high !== null && interval.high > 0) {
      // A shorter time is a higher share.
      const [x1, x2] = [atFraction((share * middle) / interval.high), atFraction((share * middle) / interval.low)]
      parts.push(element('line', { x1, x2, y1: y + barHeight / 2, y2: y + barHeight / 2, class: 'whisker' }))
    }
    // Caches can be faster than a copy: the bar goes on beyond its end.
    if (share > 1) {
      const tip = `${barRight - 7},${y} ${barRight},${y + barHeight / 2} ${barRight - 7},${y + barHeight} ${barRight},${y + barHeight} ${barRight},${y}`
      parts.push(element('polygon', { points: tip, class: 'beyond' }))
    }
  }
  return element('g', {}, `<title>${escapeText(name)}</title>${parts.join('')}`)
}

/** Width of a letter of a name and of a figure on average, in a wide font: what the drawings can be shown with is unknown. */
const nameLetter = 6.1
const figureLetter = 5

/** What fits beside the figure: the ends of a name, which tell it from its neighbours. */
function shorten(name: string, beside: string): string {
  const letters = Math.floor((barRight - barLeft - figureLetter * (beside.length + 1)) / nameLetter)
  if (name.length <= letters) return name
  const tail = Math.floor(letters * 0.4)
  return `${name.slice(0, letters - tail - 1)}…${name.slice(-tail)}`
}

const pictureStyle =
  'text{font-family:system-ui,sans-serif;fill:#1d2733}.paper,.beyond{fill:#fff}.heading{font-size:12px;font-weight:600}' +
  '.name,.value{font-size:9px}.value{fill:#4b5a6b}.small,.tick{font-size:7px;fill:#4b5a6b}.track{fill:#e8ecf1}' +
  '.bar{fill:#2563a8}.memory{fill:#b0641c}.whisker{stroke:#0b1a2b;stroke-width:1.5}.scale{stroke:#4b5a6b;stroke-width:.7}'
