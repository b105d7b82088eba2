/** Text for people: colours and a live line on a terminal, plain text everywhere else. */
import type { Io, TextSink } from './io.ts'

const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const

/** text in a style, where the sink is a terminal and neither NO_COLOR nor TERM=dumb asks for plain text. */
export function paint(io: Io, sink: TextSink, style: keyof typeof styles, text: string): string {
  if (!sink.isTTY || io.env.NO_COLOR || io.env.TERM === 'dumb') return text
  return `\x1b[${styles[style]}m${text}\x1b[0m`
}

/** Columns padded to their widest cell, two spaces apart; columns named in `right` are flushed right. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number>,
): string {
  const widths = header.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (right.has(i) ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number)))
      .join('  ')
      .trimEnd()
  return [header, ...rows].map((cells) => `${line(cells)}\n`).join('')
}

export interface Progress {
  /** fraction 0..1, or undefined where the end is unknown. */
  update(text: string, fraction?: number): void
  /** Removes the live line. */
  done(): void
}

const intervalMs = 100

/** One live line on a terminal's `err`; nothing elsewhere. */
export function startProgress(io: Io): Progress {
  const live = io.err.isTTY === true && io.env.TERM !== 'dumb'
  let last = 0
  let shown = false
  return {
    update(text, fraction) {
      const now = io.now()
      if (!live || (now - last < intervalMs && fraction !== 1)) return
      last = now
      const line = fraction === undefined ? text : `${String(Math.floor(fraction * 100)).padStart(3)}% ${text}`
      io.err.write(`\r\x1b[K${line.slice(0, (io.err.columns ?? 80) - 1)}`)
      shown = true
    },
    done() {
      if (shown) io.err.write('\r\x1b[K')
      shown = false
    },
  }
}

/** value with three significant digits and an SI prefix: 1234 -> "1.23 k". */
export function siNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const prefixes = ['', ' k', ' M', ' G', ' T', ' P']
  let scaled = value
  let i = 0
  while (Math.abs(scaled) >= 999.5 && i < prefixes.length - 1) {
    scaled /= 1000
    i++
  }
  return `${threeDigits(scaled)}${prefixes[i]}`
}

/** Three significant digits, without exponent from 1e-4 up. */
export function threeDigits(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value)
  // Digits are counted after rounding: 99.96 is 100, not 100.0.
  const rounded = Number(value.toPrecision(3))
  const digits = Math.floor(Math.log10(Math.abs(rounded)))
  if (digits < -4) return value.toExponential(2)
  return rounded.toFixed(Math.max(0, 2 - digits))
}
