/** The loop: mutate, run, keep what was read. */
import { mutateBytes, mutateJson, Random } from './mutate.ts'
import type { Target } from './targets.ts'

/** Inputs that were read become seeds for further mutation, up to this many. */
const corpusLimit = 1000
const corpusBytes = 4096

export interface FuzzResult {
  readonly runs: number
  readonly read: number
  /** The run, what happened, and the input as hex. */
  readonly finding: string | undefined
}

/** Deterministic for a seed. Throws if the target refuses its own corpus. */
export function fuzz(target: Target, runs: number, seed: number): FuzzResult {
  const random = new Random(seed)
  const corpus = [...target.corpus]
  for (const input of corpus) if (!target.run(input)) throw new Error('the target refuses its own corpus')
  const utf8 = new TextEncoder()
  let read = 0
  for (let i = 0; i < runs; i++) {
    const parent = random.pick(corpus)
    const input =
      target.json && random.below(2) === 0
        ? utf8.encode(mutateJson(random, new TextDecoder().decode(parent)))
        : mutateBytes(random, parent, corpus)
    try {
      if (!target.run(input)) continue
      read++
      if (corpus.length < corpusLimit && input.length < corpusBytes) corpus.push(input)
    } catch (error) {
      const hex = Buffer.from(input).toString('hex')
      return { runs: i + 1, read, finding: `run ${i} of seed ${seed}: ${String(error)}\n${hex}` }
    }
  }
  return { runs, read, finding: undefined }
}
