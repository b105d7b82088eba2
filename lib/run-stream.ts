/** A native run that reports through a callback, as an async generator. */
import { throwIfAborted } from './errors.ts'

/**
 * Yields what `start` hands to `push`, in order, and returns what its promise resolves to. Leaving the loop early aborts
 * the signal that `start` was given and waits for the run to end.
 */
export async function* runStream<Item, Stats>(
  start: (push: (item: Item) => void, signal: AbortSignal) => Promise<Stats>,
  signal?: AbortSignal,
): AsyncGenerator<Item, Stats, undefined> {
  throwIfAborted(signal)
  const stop = new AbortController()
  const combined = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const ready: Item[] = []
  let wake = (): void => undefined
  let ended = false
  const run = start((item) => {
    ready.push(item)
    wake()
  }, combined).finally(() => {
    ended = true
    wake()
  })
  run.catch(() => undefined) // awaited below; a consumer that leaves the loop never sees it
  try {
    for (;;) {
      const next = ready.shift()
      if (next !== undefined) yield next
      else if (ended) return await run
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    if (!ended) {
      stop.abort(new Error('the consumer left'))
      await run.catch(() => undefined)
    }
  }
}
