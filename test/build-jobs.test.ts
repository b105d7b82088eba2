// How many compilers the installation runs at a time.
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'

const file = resolve('native/scripts/build-jobs.js')

t.test('one a processor, as long as there is memory', async (t) => {
  const { buildJobs } = await import(pathToFileURL(file).href)
  const gib = 2 ** 30
  t.equal(buildJobs(16, 100 * gib), 16)
  t.equal(buildJobs(16, 5 * gib), 2)
  t.equal(buildJobs(4, gib), 1)
  t.equal(buildJobs(1, 100 * gib), 1)
})

t.test('run itself, it prints the number for this machine', async (t) => {
  t.match(spawnSync(process.execPath, [file], { encoding: 'utf8' }).stdout, /^[1-9]\d*\n$/)
})
