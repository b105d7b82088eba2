// The page that `report` writes, in a browser: what is drawn is what the results say, at every width, on paper and by night.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { rateText } from '../../lib/bench/render.ts'
import type { ResultFile } from '../../lib/bench/result-file.ts'
import { main } from '../../lib/cli.ts'
import { testIo } from '../io.ts'
import { findBrowser, startBrowser } from '../node/browser.ts'

t.setTimeout(0)

const run = async (...argv: string[]) => {
  const io = testIo()
  return { code: await main(argv, io), out: io.outText(), err: io.errText() }
}

/** A dot or a line's end in a drawing's own units. */
interface Drawn {
  readonly ticks: readonly { readonly text: string; readonly x: number; readonly y: number; readonly anchor: string }[]
  readonly dots: readonly { readonly x: number; readonly y: number; readonly title: string }[]
}

const drawnIn = (description: string): string => `(() => {
  const svg = [...document.querySelectorAll('svg')].find((e) => e.getAttribute('aria-label').startsWith(${JSON.stringify(description)}))
  const number = (e, name) => Number(e.getAttribute(name))
  return {
    ticks: [...svg.querySelectorAll('.tick')].map((e) => ({ text: e.textContent, x: number(e, 'x'), y: number(e, 'y'), anchor: e.getAttribute('text-anchor') })),
    dots: [...svg.querySelectorAll('circle')].map((e) => ({ x: number(e, 'cx'), y: number(e, 'cy'), title: e.querySelector('title').textContent })),
  }
})()`

const units: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 }

function tickValue(text: string): number {
  const match = /^([\d.]+) ?([kMGT]?)$/.exec(text)
  return Number(match?.[1]) * (units[match?.[2] ?? ''] ?? Number.NaN)
}

/** The value at a place of a logarithmic axis, by two of its labels. */
function onAxis(labels: readonly { readonly at: number; readonly value: number }[], place: number): number {
  const [first, last] = [labels[0], labels.at(-1)]
  if (!first || !last || first === last) return Number.NaN
  const part = (place - first.at) / (last.at - first.at)
  return first.value * (last.value / first.value) ** part
}

const program = findBrowser()

t.test('in a browser', { skip: program === undefined && 'no browser here' }, async (t) => {
  const folder = t.testdir({})
  const file = (name: string) => join(folder, name)
  const argv = ['bench', 'gemm', '--m', '16,64,256', '--n', '256', '--k', '256', '--dtype', 'f32,i8', '--threads', '1']
  const first = await run(...argv, '--seconds', '0.05', '--save', file('first.json'), '--json')
  t.equal(first.code, 0, first.err)
  const newest = JSON.parse(first.out) as ResultFile
  // Days before, and a third slower: what the history must show.
  const older: ResultFile = structuredClone(newest)
  older.created = '2020-01-02T03:04:05.000Z'
  for (const figure of older.figures) figure.median_ns = (figure.median_ns as number) * 1.5
  const markup = newest.figures[0]
  if (markup) markup.name = 'a <b>name</b> & "quotes"'
  if (older.figures[0]) older.figures[0].name = 'a <b>name</b> & "quotes"'
  writeFileSync(file('first.json'), JSON.stringify(newest))
  writeFileSync(file('older.json'), JSON.stringify(older))
  const made = await run('report', file('first.json'), file('older.json'), '--out', file('report.html'), '--json')
  t.match(JSON.parse(made.out), { results: 2, cases: newest.figures.length })

  const browser = await startBrowser(program as string, file('browser'))
  t.teardown(() => browser.close())
  const url = pathToFileURL(file('report.html')).href
  const ready = async () => {
    while (
      !(await browser.evaluate<boolean>(`document.readyState === 'complete' && !!document.querySelector('table')`))
    );
  }
  for (const [width, height, name] of [
    [390, 844, 'phone'],
    [1280, 900, 'desktop'],
  ] as const) {
    await t.test(`${name}, ${width} pixels wide`, async (t) => {
      await browser.open(url, width, height)
      await ready()
      const sideways = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'
      t.equal(await browser.evaluate<number>(sideways), 0, 'no sideways scrolling')
      const outside = await browser.evaluate<string[]>(`[...document.querySelectorAll('svg text')].filter((e) => {
        const [own, all] = [e.getBoundingClientRect(), e.ownerSVGElement.getBoundingClientRect()]
        return own.left < all.left - 1 || own.right > all.right + 1 || own.top < all.top - 1 || own.bottom > all.bottom + 1
      }).map((e) => e.textContent)`)
      t.same(outside, [], 'all text lies inside its drawing')
      const overlapping = await browser.evaluate<string[]>(`[...document.querySelectorAll('svg')].flatMap((svg) => {
        const texts = [...svg.querySelectorAll('text')]
        return texts.flatMap((a, i) => texts.slice(i + 1).filter((b) => {
          const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()]
          const [w, h] = [Math.min(p.right, q.right) - Math.max(p.left, q.left), Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top)]
          return w > 1 && h > 3
        }).map((b) => a.textContent + ' / ' + b.textContent))
      })`)
      t.same(overlapping, [], 'no text lies over another')
      const smallest =
        await browser.evaluate<number>(`Math.min(...[...document.querySelectorAll('svg text')].map((e) => {
        return parseFloat(getComputedStyle(e).fontSize) * e.ownerSVGElement.getBoundingClientRect().width / 360
      }))`)
      t.ok(smallest >= 8, `legible: the smallest text has ${smallest.toFixed(1)} pixels`)
      if (process.env.SCREENSHOTS !== undefined)
        writeFileSync(`${process.env.SCREENSHOTS}/report-${name}.png`, await browser.screenshot(true))
    })
  }

  await t.test('the roofline shows each case where the result has it', async (t) => {
    const { ticks, dots } = await browser.evaluate<Drawn>(drawnIn('Roofline'))
    const xs = ticks
      .filter(({ anchor }) => anchor === 'middle')
      .map(({ x, text }) => ({ at: x, value: tickValue(text) }))
    // A label stands 3 units below the middle of its line.
    const ys = ticks
      .filter(({ anchor }) => anchor === 'end')
      .map(({ y, text }) => ({ at: y - 3, value: tickValue(text) }))
    t.ok(xs.length >= 2 && ys.length >= 2, 'labelled axes')
    t.equal(dots.length, newest.figures.length)
    for (const { name, operations, bytes, rate } of newest.figures) {
      const dot = dots.find(({ title }) => title.startsWith(`${name}: `))
      t.ok(dot, name)
      if (!dot || rate === null) continue
      const [intensity, drawn] = [onAxis(xs, dot.x), onAxis(ys, dot.y)]
      t.ok(Math.abs(Math.log(intensity / (operations / bytes))) < 0.01, `${name}: ${intensity} operations per byte`)
      t.ok(Math.abs(Math.log(drawn / rate)) < 0.01, `${name}: ${drawn} of ${rate} per second`)
    }
  })

  await t.test('the bars have the lengths of the shares', async (t) => {
    const bars = await browser.evaluate<{ name: string; text: string; share: number | null }[]>(`
      [...document.querySelectorAll('svg[aria-label^="Cases"] g')].map((g) => {
        const [track, bar] = [g.querySelector('.track'), g.querySelector('.bar')]
        const share = bar && Number(bar.getAttribute('width')) / Number(track.getAttribute('width'))
        return { name: g.querySelector('title').textContent, text: g.querySelector('.value').textContent, share }
      })`)
    t.equal(bars.length, newest.figures.length)
    for (const [i, { name, ceiling, rate, unit }] of newest.figures.entries()) {
      const bar = bars[i]
      t.equal(bar?.name, name, 'markup in a name is text')
      t.ok(bar?.text.startsWith(`${rateText(rate ?? 0, unit)} · `), bar?.text ?? '')
      if (ceiling === null) t.equal(bar?.share, null)
      else t.ok(Math.abs((bar?.share ?? -1) - Math.min(1, ceiling.fraction)) < 1e-3, `${name}: ${bar?.share}`)
    }
  })

  await t.test('the history falls by a third', async (t) => {
    const rows = await browser.evaluate<string[]>(
      `[...document.querySelectorAll('svg[aria-label^="History"] .value')].map((e) => e.textContent)`,
    )
    t.equal(rows.length, newest.figures.length)
    for (const text of rows) t.match(text, /· −33\.3%$/)
    const { dots, ticks } = await browser.evaluate<Drawn>(drawnIn('History'))
    t.equal(dots.length, 2)
    t.match(dots[0]?.title, /^2020-01-02T03:04/, 'the oldest first')
    t.ok((dots[0]?.x ?? 0) < (dots[1]?.x ?? 0) && (dots[0]?.y ?? 0) < (dots[1]?.y ?? 0), 'faster is lower')
    t.ok(
      ticks.some(({ text }) => text === '2020-01-02'),
      'dated',
    )
  })

  await t.test('the table has every figure', async (t) => {
    const rows = await browser.evaluate<string[]>(
      `[...document.querySelectorAll('tbody tr')].map((row) => row.firstChild.textContent)`,
    )
    t.same(
      rows,
      newest.figures.map(({ name }) => name),
    )
  })

  await t.test('by night and on paper', async (t) => {
    const paper = () => browser.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    await browser.emulate('screen', 'dark')
    t.equal(await paper(), 'rgb(18, 24, 31)')
    if (process.env.SCREENSHOTS !== undefined)
      writeFileSync(`${process.env.SCREENSHOTS}/report-dark.png`, await browser.screenshot(true))
    await browser.emulate('print', 'dark')
    t.equal(await paper(), 'rgb(255, 255, 255)', 'dark ink on white paper')
    const pdf = await browser.pdf()
    t.equal(Buffer.from(pdf.subarray(0, 5)).toString(), '%PDF-')
    const pages =
      Buffer.from(pdf)
        .toString('latin1')
        .match(/\/Type ?\/Page\b/g)?.length ?? 0
    t.ok(pages >= 1 && pages <= 6, `${pages} pages`)
  })

  t.same(
    [...new Set(browser.requests)].filter((request) => request !== url && !/^(about|data):/.test(request)),
    [],
    'no request',
  )
  t.same(browser.errors, [], 'no error in the page')
})
