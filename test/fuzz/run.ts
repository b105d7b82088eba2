/**
 * npm run fuzz -- [--target NAME] [--runs N] [--seed S]: mutated inputs for the readers of proof files and JSON. Prints
 * the seed; a finding is written as hex with the run that made it, and the exit code is 1.
 */
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.ts'
import { targets } from './targets.ts'

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true },
    runs: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})

for (const name of values.target ?? Object.keys(targets)) {
  const target = targets[name]
  if (!target) throw new Error(`no target ${name}; there are: ${Object.keys(targets).join(', ')}`)
  const began = performance.now()
  const { finding, read, runs } = fuzz(target, Number(values.runs), Number(values.seed))
  if (finding) {
    process.stdout.write(`${name}: ${finding}\n`)
    process.exitCode = 1
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  process.stdout.write(
    `${name}: ${runs} runs, seed ${values.seed}, ${read} read, ${runs - read} refused, ${seconds} s\n`,
  )
}
