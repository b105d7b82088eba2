/** Limits of the challenge service: requests by address, bytes and checks under way. */

/** Counts requests by address: `perMinute` on average, as many at once. Infinity: no limit. Memory: at most `addresses` entries. */
export function rateLimit(perMinute: number, addresses = 10_000, now: () => number = () => performance.now()) {
  const buckets = new Map<string, { tokens: number; at: number }>()
  /** Seconds to wait before the request may be made again; 0 if it may be made now. */
  return (address: string): number => {
    if (perMinute === Number.POSITIVE_INFINITY) return 0
    const time = now()
    const bucket = buckets.get(address) ?? { tokens: perMinute, at: time }
    const tokens = Math.min(perMinute, bucket.tokens + ((time - bucket.at) / 60_000) * perMinute)
    const allowed = tokens >= 1
    // Moved to the end: the first entry is the one unused for longest.
    buckets.delete(address)
    buckets.set(address, { tokens: allowed ? tokens - 1 : tokens, at: time })
    if (buckets.size > addresses) buckets.delete(buckets.keys().next().value as string)
    return allowed ? 0 : Math.ceil(((1 - tokens) / perMinute) * 60)
  }
}

/** Bytes that may be held at a time. take() answers a function that gives them back, or undefined if there is no room. */
export function byteBudget(total: number) {
  let free = total
  return {
    take(bytes: number): (() => void) | undefined {
      if (bytes > free) return undefined
      free -= bytes
      let held = true
      return () => {
        if (held) free += bytes
        held = false
      }
    },
    free: () => free,
  }
}

/** Runs calls one after the other, in the order they came. */
export function oneAtATime() {
  let last: Promise<unknown> = Promise.resolve()
  return <T>(call: () => Promise<T>): Promise<T> => {
    const result = last.then(call)
    last = result.catch(() => undefined)
    return result
  }
}
