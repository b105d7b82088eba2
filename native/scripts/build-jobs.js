// How many compilers run at a time: one a processor, as long as each has the 2 GiB that the largest sources take. Prints the
// number when run itself.
import { availableParallelism, freemem } from 'node:os'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const bytesPerJob = 2 * 2 ** 30

export function buildJobs(processors = availableParallelism(), freeBytes = process.availableMemory?.() ?? freemem()) {
  return Math.max(1, Math.min(processors, Math.floor(freeBytes / bytesPerJob)))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(`${buildJobs()}\n`)
