/** Marks of the drawings: text as SVG, made by hand so that a report needs nothing from anywhere. */

/** Text safe inside markup and attributes. */
export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

export type Attributes = Readonly<Record<string, string | number>>

export function element(name: string, attributes: Attributes, content = ''): string {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeText(plain(value))}"`)
  return content === '' ? `<${name}${list.join('')}/>` : `<${name}${list.join('')}>${content}</${name}>`
}

function plain(value: string | number): string {
  return typeof value === 'number' ? String(Math.round(value * 100) / 100) : value
}

/** Text at a point; anchor: which of its ends is there. */
export function label(x: number, y: number, text: string, anchor: 'start' | 'middle' | 'end', kind = 'text'): string {
  return element('text', { x, y, 'text-anchor': anchor, class: kind }, escapeText(text))
}

/** A drawing that fills its place; described for those who do not see it. Sizes are those of a phone's width. */
export function drawing(width: number, height: number, description: string, content: string): string {
  return element(
    'svg',
    { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': description },
    `<title>${escapeText(description)}</title>${content}`,
  )
}

/** Powers of ten from the one at or below low to the one at or above high. */
export function decades(low: number, high: number): number[] {
  const out: number[] = []
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) out.push(10 ** e)
  return out
}
