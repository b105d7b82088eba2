// One action after the other, in the order they were asked for.

export interface Exclusive {
  <T>(action: () => Promise<T>): Promise<T>
  /** Resolves when everything asked for so far has ended; never rejects. */
  settled(): Promise<unknown>
}

export function createExclusive(): Exclusive {
  let gate: Promise<unknown> = Promise.resolve()
  const run = <T>(action: () => Promise<T>): Promise<T> => {
    const next = gate.then(action)
    gate = next.catch(() => undefined)
    return next
  }
  return Object.assign(run, { settled: () => gate })
}
