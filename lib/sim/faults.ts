// What goes wrong in a simulated network, by flag.

export interface Faults {
  /** Share of the time in which callbacks are answered 503, in windows of a second of the chain's time. */
  readonly storm: number
  /** Probability that a callback is processed and the connection cut instead of answered. */
  readonly cut: number
  /** Probability that a callback is refused by cutting the connection before anything is processed. */
  readonly drop: number
  /** Probability that a processed callback is processed a second time, late: a duplicate out of order. */
  readonly duplicate: number
  /** Callbacks are answered after a random delay up to this, milliseconds. */
  readonly delayMs: number
  /** Mean seconds between kill -9 of a random node; 0: never. */
  readonly restartEvery: number
}

export const noFaults: Faults = { storm: 0, cut: 0, drop: 0, duplicate: 0, delayMs: 0, restartEvery: 0 }

export interface FaultCounts {
  storms: number
  cuts: number
  drops: number
  duplicates: number
  restarts: number
}

/** How one host departs from honesty or health. */
export type HostFault = 'honest' | 'forger' | 'wrong-model' | 'slow' | 'skewed'

/** Random numbers that a seed reproduces (mulberry32): the report names the seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
