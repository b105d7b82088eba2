/** One case on one device: prepared, warmed up, sampled until it is known well enough. */
import { GonkaError, throwIfAborted } from '../errors.ts'
import type { BenchSession, BenchWarmUp, NativeDevice } from '../native-api.ts'
import { openSession, runSession } from '../poc-v1.ts'
import type { BenchCase, PocV1Problem } from './case.ts'
import { medianInterval, quantile } from './summary.ts'

export interface Method {
  /** Most time for the samples of one case; preparing it and warming up come on top. */
  readonly seconds: number
  /** Most samples of one case. */
  readonly samples: number
  /** Other data is put into the caches before every call. */
  readonly cold: boolean
  /** Of intervals. */
  readonly confidence: number
  /** Half the width of the median's interval, relative to the median, at which sampling ends. */
  readonly precision: number
  /** Blocks that a case is cut into, where its calls are short enough. */
  readonly blocks: number
}

export const defaultMethod: Method = {
  seconds: 1,
  samples: 5000,
  cold: false,
  confidence: 0.99,
  precision: 0.005,
  blocks: 10,
}

/** What ended the sampling of a case. */
export type Stop = 'precision' | 'time' | 'samples'

export interface Measurement {
  readonly implementation: string
  readonly operations: number
  readonly unit: string
  readonly bytes: number
  readonly warmUp: BenchWarmUp
  /** Operations in all of its calls, warm-ups included. */
  readonly done: number
  readonly stoppedBy: Stop
  /** Times of one call (PoC: of one nonce), nanoseconds, in order; each block on operands of its own where `fresh`. */
  readonly blocks: readonly (readonly number[])[]
  /** Whether every block had operands of its own, elsewhere in memory. */
  readonly fresh: boolean
}

/** Fewest samples of a case, however long they take. */
const fewest = 3

/** Half the interval of the median relative to it; infinite for too few samples to say. */
export function imprecision(samples: readonly number[], confidence: number): number {
  if (samples.length < 8) return Number.POSITIVE_INFINITY
  const { low, high } = medianInterval(samples, confidence)
  return (high - low) / 2 / quantile(samples, 0.5)
}

/** Collects blocks until precise enough, out of time or full. `block` gets how long it may take, in seconds. */
async function sample(
  method: Method,
  block: (seconds: number, samples: number) => Promise<readonly number[]>,
): Promise<{ blocks: (readonly number[])[]; stoppedBy: Stop }> {
  const blocks: (readonly number[])[] = []
  const all: number[] = []
  // Half of the time is enough for the blocks that comparisons need; the rest is there to become precise.
  const blockSeconds = method.seconds / (2 * method.blocks)
  const blockSamples = Math.max(1, Math.ceil(method.samples / (2 * method.blocks)))
  let spent = 0
  for (;;) {
    const left = Math.min(blockSamples, Math.max(method.samples, fewest) - all.length)
    const began = performance.now()
    const times = await block(blockSeconds, left)
    blocks.push(times)
    all.push(...times)
    spent += (performance.now() - began) / 1000
    if (all.length < fewest) continue
    if (all.length >= method.samples) return { blocks, stoppedBy: 'samples' }
    if (blocks.length >= method.blocks && imprecision(all, method.confidence) <= method.precision)
      return { blocks, stoppedBy: 'precision' }
    if (spent >= method.seconds) return { blocks, stoppedBy: 'time' }
  }
}

/** Throws ERR_GK_UNSUPPORTED where the device cannot run the case. */
export async function measure(
  benchCase: BenchCase,
  device: NativeDevice,
  method: Method,
  options: { readonly implementation?: string; readonly signal?: AbortSignal },
): Promise<Measurement> {
  const { problem } = benchCase
  const { implementation, signal } = options
  if (problem.op === 'poc_v1') return measurePocV1(problem, device, method, signal)
  const open = (): Promise<BenchSession> =>
    device.benchOpen({ problem, ...(implementation === undefined ? {} : { implementation }) }, signal)
  const began = performance.now()
  let session = await open()
  try {
    const openSeconds = (performance.now() - began) / 1000
    const warmUp = await session.warm(Math.max(0.1, method.seconds / 2), signal)
    const { operations, unit, bytes } = session
    // Where memory lies decides about caches and pages, so one place is one draw; blocks draw anew if that is cheap.
    // With cold caches each session would need its own memory to fill them from.
    const fresh = !method.cold && openSeconds <= method.seconds / (2 * method.blocks)
    let first = true
    let calls = warmUp.calls
    const { blocks, stoppedBy } = await sample(method, async (seconds, samples) => {
      throwIfAborted(signal)
      if (fresh && !first) {
        const next = await open()
        await session.close()
        session = next
        calls += (await session.warm(0, signal)).calls
      }
      first = false
      const times = await session.run({ samples, seconds, cold: method.cold }, signal)
      calls += times.length
      return Array.from(times)
    })
    const done = calls * operations
    return { implementation: session.implementation, operations, unit, bytes, warmUp, done, stoppedBy, blocks, fresh }
  } finally {
    await session.close()
  }
}

/** Of one run; a case that outlasts them goes on with the next. */
const noncesPerRun = 2 ** 20

async function measurePocV1(
  { params, batch }: PocV1Problem,
  device: NativeDevice,
  method: Method,
  signal: AbortSignal | undefined,
): Promise<Measurement> {
  const round = { device, params, blockHash: 'bench', publicKey: 'bench', nonces: new BigInt64Array() }
  const session = await openSession(signal ? { ...round, signal } : round)
  try {
    const nonces = BigInt64Array.from({ length: noncesPerRun }, (_, i) => BigInt(i))
    const request = { publicKey: round.publicKey, nonces, ...(batch === undefined ? {} : { batch }) }
    const start = () => runSession(session, request, signal)[Symbol.asyncIterator]()
    let batches = start()
    let done = 0
    const next = async (): Promise<number> => {
      let item = await batches.next()
      if (item.done) {
        batches = start()
        item = await batches.next()
      }
      if (item.done) throw new GonkaError('ERR_GK_INTERNAL', 'a PoC v1 run ended without a batch')
      done += item.value.computed
      return item.value.computed
    }
    let last = performance.now()
    const began = last
    // The first batch also pays for memory that the later ones find mapped.
    await next()
    last = performance.now()
    const warmUp = { calls: 1, seconds: (last - began) / 1000, stable: false }
    try {
      const { blocks, stoppedBy } = await sample(method, async () => {
        const computed = await next()
        const now = performance.now()
        const perNonce = ((now - last) * 1e6) / computed
        last = now
        return [perNonce]
      })
      const { implementation } = session
      return { implementation, operations: 1, unit: 'nonce', bytes: 0, warmUp, done, stoppedBy, blocks, fresh: false }
    } finally {
      await batches.return?.({ computed: 0, kept: 0, batches: 0, seconds: 0 })
    }
  } finally {
    await session.close()
  }
}
