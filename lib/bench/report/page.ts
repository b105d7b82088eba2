/** One HTML file with everything in it: no request leaves the page, and it reads on a phone and on paper. */
import { confidenceText, durationText, percentText, rateText } from '../render.ts'
import type { ResultFigure, ResultFile } from '../result-file.ts'
import { barsBySuite, barsPicture } from './bars.ts'
import { historyRows } from './history.ts'
import { rooflineSvg } from './roofline.ts'
import { escapeText } from './svg.ts'

/** The newest result in full; older ones as history. At least one result. */
export function reportPage(results: readonly ResultFile[]): string {
  const newest = newestOf(results)
  const roofline = rooflineSvg(newest)
  const bars = barsBySuite(newest.figures)
  const history = historyRows(results)
  const title = `Benchmark of ${newest.devices[0]?.name ?? 'a device'}, ${newest.created.slice(0, 10)}`
  const sections = [
    section('Machine and method', list(conditionsOf(newest))),
    ...(roofline === ''
      ? []
      : [
          section(
            'Roofline',
            `<div class="beside">${figureBlock(roofline)}<p class="hint">Lines: what register-only loops and a copy of memory reached in the same run (medians). Points: cases, over the operations they do for each byte they must move; those above the slope have their operands in the caches.</p></div>`,
          ),
        ]),
    section(
      'Cases',
      `<p class="hint">Share of the ceiling measured beside each case; blue: of the arithmetic, brown: of a copy of memory. The thin line is the interval of the median. An arrow: faster than the copy, from the caches.</p><div class="columns">${bars.map(({ suite, svg }) => `<div class="block"><h3>${escapeText(suite)}</h3>${figureBlock(svg)}</div>`).join('')}</div>`,
    ),
    ...(history.length === 0
      ? []
      : [
          section(
            'History',
            `<p class="hint">Time of a call over the date of the result, relative to the first: higher is slower.</p><div class="columns">${history.map(({ svg }) => figureBlock(svg)).join('')}</div>`,
          ),
        ]),
    section('Figures', figureTable(newest.figures)),
  ]
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">` +
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">` +
    `<link rel="icon" href="data:,"><title>${escapeText(title)}</title><style>${pageStyle}</style></head>` +
    `<body><main><h1>${escapeText(title)}</h1>${sections.join('')}<footer>${escapeText(newest.tool)}</footer></main></body></html>\n`
  )
}

/** The bars of the newest result as a picture of its own. */
export function reportPicture(results: readonly ResultFile[]): string {
  const newest = newestOf(results)
  const device = newest.devices[0]
  const threads = device && device.threads > 0 ? `, ${threadsText(device.threads)}` : ''
  const notes = [
    'share of the ceiling measured beside each case: blue: of the arithmetic, brown: of a copy of memory;',
    'thin line: interval of the median; arrow: faster than the copy, from the caches',
    newest.tool,
  ]
  return `${barsPicture(newest.figures, `${device?.name ?? 'device'}${threads}, ${newest.created.slice(0, 10)}`, notes)}\n`
}

function newestOf(results: readonly ResultFile[]): ResultFile {
  return [...results].sort((a, b) => b.created.localeCompare(a.created))[0] as ResultFile
}

function section(title: string, content: string): string {
  return `<section><h2>${escapeText(title)}</h2>${content}</section>`
}

function figureBlock(svg: string): string {
  return `<figure>${svg}</figure>`
}

function list(lines: readonly string[]): string {
  return `<ul>${lines.map((line) => `<li>${escapeText(line)}</li>`).join('')}</ul>`
}

function conditionsOf({ machine, devices, created, method, load, calibrations, cpus, figures }: ResultFile): string[] {
  const out = devices.map(({ id, name, arch, driver, threads }) =>
    [`${id}: ${name}`, arch, driver, threads > 0 ? threadsText(threads) : ''].filter((part) => part !== '').join(', '),
  )
  out.push(`${machine.logical_cpus} logical processors, ${machine.memory_gib} GiB, Linux ${machine.kernel}`)
  out.push(
    `${created.slice(0, 16).replace('T', ' ')} UTC; at most ${method.seconds} s a case, intervals at ${confidenceText(method.confidence)}, ` +
      `${method.cold ? 'cold' : 'warm'} caches${cpus.length > 0 ? `, on processors ${cpus.join(', ')}` : ''}`,
  )
  const range = (what: string, of: (one: ResultFile['calibrations'][number]) => number, unit: string): string[] => {
    const values = calibrations.map(of)
    if (values.every((value) => value === 0)) return []
    return [`${what} ${Math.min(...values).toPrecision(3)} to ${Math.max(...values).toPrecision(3)} ${unit}`]
  }
  if (calibrations.length > 0) {
    const ranges = [
      ...range('f32', (one) => one.f32_gflops, 'Gflop/s'),
      ...range('bf16', (one) => one.bf16_gflops, 'Gflop/s'),
      ...range('i8', (one) => one.i8_gops, 'Gop/s'),
      ...range('copy', (one) => one.copy_gb_per_s, 'GB/s'),
      ...range('clock', (one) => one.clock_ghz, 'GHz'),
    ]
    out.push(`Calibration, ${calibrations.length} times: ${ranges.join(', ')}`)
  }
  const share = (cpu: number | null): string => (cpu === null ? 'an unknown share' : percentText(cpu, 0))
  out.push(
    `Other processes used ${share(load.other_cpus)} of a processor, the hypervisor withheld ${share(load.stolen_cpus)}`,
  )
  out.push(`Instruction counters: ${machine.instruction_counter}`)
  const energy = figures.find(({ skipped }) => skipped === null)?.energy.source
  if (energy !== undefined) out.push(`Energy: ${energy}`)
  return out
}

function figureTable(figures: readonly ResultFigure[]): string {
  const header = ['case', 'rate', 'median', 'interval', 'spread', 'of ceiling', 'J per unit', 'samples', 'ran']
  const rows = figures.map((figure) => {
    const { name, skipped, rate, unit, median_ns: middle, interval_ns: interval, spread, ceiling, energy } = figure
    if (skipped !== null || rate === null || middle === null)
      return [name, `skipped: ${skipped ?? 'no figure'}`, '', '', '', '', '', '', '']
    return [
      name,
      rateText(rate, unit),
      durationText(middle),
      `${durationText(interval.low ?? Number.NaN)} .. ${durationText(interval.high ?? Number.NaN)}`,
      spread === null ? '' : percentText(spread),
      ceiling === null ? '' : `${percentText(ceiling.fraction)} ${ceiling.bound}`,
      energy.joules_per_operation === null ? '' : energy.joules_per_operation.toExponential(2),
      `${figure.samples}${figure.stopped_by === 'time' ? ', time up' : ''}`,
      figure.implementation ?? '',
    ]
  })
  const used = header.flatMap((_, i) => (rows.some((row) => row[i] !== '') ? [i] : []))
  const cells = (row: readonly string[]): string =>
    used.map((i) => `<td data-name="${escapeText(header[i] ?? '')}">${escapeText(row[i] ?? '')}</td>`).join('')
  return (
    `<table><thead><tr>${used.map((i) => `<th>${escapeText(header[i] ?? '')}</th>`).join('')}</tr></thead>` +
    `<tbody>${rows.map((row) => `<tr>${cells(row)}</tr>`).join('')}</tbody></table>`
  )
}

function threadsText(threads: number): string {
  return threads === 1 ? '1 thread' : `${threads} threads`
}

const pageStyle = `
:root{color-scheme:light dark;--ink:#1d2733;--soft:#4b5a6b;--paper:#fff;--track:#e8ecf1;--bar:#2563a8;--copy:#b0641c;--dark:#0b1a2b}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf1;--soft:#9fb0c3;--paper:#12181f;--track:#26313d;--bar:#5b9bd9;--copy:#d98f4a;--dark:#fff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.45 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:16px}
h1{font-size:1.4rem;line-height:1.2}h2{font-size:1.15rem;margin:1.6em 0 .4em}h3{font-size:1rem;margin:1em 0 .2em}
ul{padding-left:1.1em;margin:.4em 0}li{overflow-wrap:anywhere}
.hint,footer{color:var(--soft);font-size:.85rem}footer{margin-top:1em}
figure{margin:0 0 8px;max-width:620px}
.beside{display:flex;flex-wrap:wrap;align-items:center;gap:8px 40px}.beside figure{flex:2 1 340px}.beside p{flex:1 1 240px;margin:0}
.columns{columns:2 340px;column-gap:40px}.columns figure,.block{break-inside:avoid}.block h3{margin:0 0 .2em}.block{padding-bottom:14px}
svg{display:block;width:100%;height:auto}
text{fill:var(--ink);font-family:system-ui,sans-serif}
.name,.value{font-size:10px}.value{fill:var(--soft)}.tick{font-size:8.5px;fill:var(--soft)}.axis,.note{font-size:9px;fill:var(--soft)}
.note{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
.grid{stroke:var(--track);stroke-width:1}.first{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 3}.ceiling{stroke:var(--dark);stroke-width:1.5}
.mark{fill:var(--bar)}.kind1{fill:#d55e00}.kind2{fill:#009e73}.kind3{fill:#cc79a7}.kind4{fill:#e69f00}.kind5{fill:#56b4e9}
.track{fill:var(--track)}.bar{fill:var(--bar)}.memory{fill:var(--copy)}.whisker{stroke:var(--dark);stroke-width:1.5}.beyond{fill:var(--paper)}.scale{stroke:var(--soft);stroke-width:.7}
.path{fill:none;stroke:var(--bar);stroke-width:1.5}
table{border-collapse:collapse;width:100%;font-size:.82rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 8px;border-bottom:1px solid var(--track);vertical-align:top}
@media (min-width:701px){th,td{text-align:right;white-space:nowrap}th:first-child,td:first-child,th:last-child,td:last-child{text-align:left;white-space:normal}}
@media (max-width:700px){thead{display:none}tr{display:block;padding:8px 0;border-bottom:1px solid var(--soft)}
td{display:flex;justify-content:space-between;gap:12px;border:0;padding:2px 0;text-align:right}td:empty{display:none}
td::before{content:attr(data-name);color:var(--soft);text-align:left}td:first-child{font-weight:600;text-align:left}td:first-child::before{content:none}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#333;--paper:#fff;--track:#ddd;--bar:#2563a8;--copy:#b0641c;--dark:#000}body{font-size:11px}main{max-width:none;padding:0}
figure,tr,h2,h3{break-inside:avoid}h2,h3{break-after:avoid}svg *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`
