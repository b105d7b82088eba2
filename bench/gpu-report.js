// Puts what bench/gpu.sh measured into one file and one table.
//
//   node bench/gpu-report.js FOLDER      reads FOLDER/*.json, writes FOLDER/report.json, prints the table
//
// Steps that did not run are null in report.json and "not measured" in the table. Our figure and that of NVIDIA's library,
// cuBLAS or cuDNN, are of the same case, operands and clock; "of NVIDIA's" is the ratio of the rates.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'

const folder = process.argv[2]
if (folder === undefined) {
  process.stderr.write('usage: node bench/gpu-report.js FOLDER\n')
  process.exitCode = 2
} else {
  report(folder)
}

/** null where the step left nothing that is JSON. */
function read(from, name) {
  try {
    return JSON.parse(readFileSync(join(from, `${name}.json`), 'utf8'))
  } catch {
    return null
  }
}

function report(from) {
  const ops = ['gemm', 'attention', 'matmul_pow', 'sha256_search', 'normal_fill', 'rms_norm', 'rope', 'silu_mul']
  ops.push('householder', 'gather', 'l2_normalize', 'permuted_distance')
  const bench = read(from, 'bench')
  const theirFigures = ['cublas', 'cudnn'].flatMap((peer) =>
    (read(from, `bench-${peer}`)?.figures ?? []).map((figure) => ({ ...figure, peer })),
  )
  const poc = read(from, 'poc-v1')
  const devices = read(from, 'devices')
  const conformance = Object.fromEntries(
    ops.map((op) => {
      const result = read(from, `conformance-${op}`)
      return [op, result && { passed: result.passed, failed: result.failed, skipped: result.skipped }]
    }),
  )
  const figures = (bench?.figures ?? []).map((figure) => {
    const theirs = theirFigures.find(({ name, rate }) => name === figure.name && typeof rate === 'number')
    const peerRate = theirs?.rate ?? null
    return {
      ...figure,
      peer: theirs?.peer ?? null,
      peer_rate: peerRate,
      of_peer: peerRate && figure.rate ? figure.rate / peerRate : null,
    }
  })
  const device = devices?.devices?.find(({ id }) => id === bench?.devices[0]?.id) ?? null
  const document = { made: new Date().toISOString(), device, figures, poc_v1: poc, conformance }
  writeFileSync(join(from, 'report.json'), `${JSON.stringify(document, null, 1)}\n`)

  const line = (...cells) => process.stdout.write(`| ${cells.join(' | ')} |\n`)
  const sensors = device?.telemetry
  process.stdout.write(
    `${bench?.devices[0]?.name ?? 'no device'}${device ? `, driver ${sensors?.driver ?? device.driver}` : ''}, ${document.made.slice(0, 10)}\n\n`,
  )
  line('case', 'rate', 'spread', "NVIDIA's", "of NVIDIA's", 'implementation')
  line('---', '---', '---', '---', '---', '---')
  for (const figure of figures) {
    if (figure.skipped) line(figure.name, 'not measured', '', '', '', figure.skipped)
    else {
      const theirs =
        figure.peer_rate === null ? 'not measured' : `${figure.peer} ${si(figure.peer_rate)}${figure.unit}/s`
      const ratio = figure.of_peer === null ? '' : figure.of_peer.toFixed(2)
      const spread = `${(100 * figure.spread).toFixed(1)} %`
      line(figure.name, `${si(figure.rate)}${figure.unit}/s`, spread, theirs, ratio, figure.implementation)
    }
  }
  const joules =
    poc?.joules_per_nonce == null ? 'joules not measured' : `${poc.joules_per_nonce.toPrecision(3)} J/nonce`
  process.stdout.write(
    poc === null
      ? '\nPoC v1: not measured\n'
      : `\nPoC v1, ${poc.params}, batch ${poc.batch}: ${poc.nonces_per_second.toPrecision(4)} nonces/s, ${joules}\n`,
  )
  for (const [op, result] of Object.entries(conformance)) {
    const words = result ? `${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped` : 'did not end'
    process.stdout.write(`conformance ${op}: ${words}\n`)
  }
}

function si(value) {
  const steps = ['', 'k', 'M', 'G', 'T', 'P']
  const power = value > 0 ? Math.max(0, Math.min(5, Math.floor(Math.log10(value) / 3))) : 0
  return `${(value / 1000 ** power).toPrecision(4)} ${steps[power]}`
}
