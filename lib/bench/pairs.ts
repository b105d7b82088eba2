/**
 * One build against another, in turn: A B, B A, ... in the same second on the same machine, so that what disturbs one
 * disturbs the other, and the ratio of a pair stays what it is while both of its times wander.
 *
 * Even so, two things are the same for many pairs and would make a difference of nothing look sure: noise that lasts, and
 * the places in memory that the operands and the builds themselves happened to get. So the run is cut into blocks; each has
 * new operands for both builds, made in an order that is drawn, and copies of the builds where those can be had
 * (lib/bench/build-copies.ts); and the test takes each block as one value (lib/bench/verdict.ts).
 */
import { throwIfAborted } from '../errors.ts'
import type { BenchProblem, BenchSession } from '../native-api.ts'
import { centre } from './bootstrap.ts'
import type { Build } from './build-copies.ts'
import { seededUniform } from './random.ts'

export interface PairsOptions {
  /** The build that is held against, and the one under judgement. */
  readonly a: Build
  readonly b: Build
  readonly problem: BenchProblem
  readonly implementation?: string
  /** Blocks; 20 if absent. */
  readonly blocks?: number
  /** For all calls of so many blocks; each block makes at least two pairs. 2 if absent. */
  readonly seconds?: number
  /** Whether what there is suffices, asked after that many blocks and every ten more; up to six times as many follow. */
  readonly enough?: (blocks: readonly PairBlock[]) => boolean
  readonly cold?: boolean
  /** Draws orders. 1 if absent. */
  readonly seed?: number
  readonly signal?: AbortSignal
}

export interface PairBlock {
  /** Wall time of each call of pair i, nanoseconds; pairs 2i and 2i + 1 have opposite order. */
  readonly aNs: readonly number[]
  readonly bNs: readonly number[]
  readonly bFirst: readonly boolean[]
  /** Calls repeated because the scheduler gave the processor to another program during them. */
  readonly repeated: number
  /** Calls of the pairs during which it did so every time. */
  readonly interrupted: number
}

export interface PairsResult {
  readonly implementationA: string
  readonly implementationB: string
  readonly operations: number
  readonly unit: string
  readonly bytes: number
  readonly blocks: readonly PairBlock[]
}

export const defaultPairBlocks = 20
const mostTimes = 6
const blocksBetween = 10

export async function measurePairs(options: PairsOptions): Promise<PairsResult> {
  const {
    a,
    b,
    problem,
    implementation,
    blocks = defaultPairBlocks,
    seconds = 2,
    cold = false,
    seed = 1,
    enough = () => true,
    signal,
  } = options
  const uniform = seededUniform(seed)
  const request = { problem, ...(implementation === undefined ? {} : { implementation }) }
  let open: BenchSession[] = []
  const closeAll = async (): Promise<void> => {
    const closing = open
    open = []
    for (const session of closing) await session.close()
  }
  const done: PairBlock[] = []
  try {
    for (;;) {
      throwIfAborted(signal)
      // The last block's operands go only when the new ones are there: the same memory would be handed out again.
      const before = open
      open = [...before]
      const sessions: Partial<Record<'a' | 'b', BenchSession>> = {}
      const order = uniform() < 0.5 ? (['a', 'b'] as const) : (['b', 'a'] as const)
      for (const side of order) {
        // Copies that meet again do so in other pairs.
        const n = done.length + (side === 'b' ? Math.floor(done.length / blocks) : 0)
        const device = await (side === 'a' ? a : b).at(n)
        const session = await device.benchOpen(request, signal)
        sessions[side] = session
        open.push(session)
      }
      for (const session of before) await session.close()
      open = open.filter((session) => !before.includes(session))
      const [own, other] = [sessions.a as BenchSession, sessions.b as BenchSession]
      const warmSeconds = done.length === 0 ? 0.2 : 0
      for (const side of order) await (sessions[side] as BenchSession).warm(warmSeconds, signal)
      const limits = { samples: 1_000_000, seconds: seconds / blocks, cold, seed: Math.floor(uniform() * 2 ** 32) }
      const { ownNs, otherNs, otherFirst, repeated, interrupted } = await own.runPairs(other, limits, signal)
      done.push({
        aNs: Array.from(ownNs),
        bNs: Array.from(otherNs),
        bFirst: Array.from(otherFirst, (one) => one === 1),
        repeated,
        interrupted,
      })
      const extra = done.length - blocks
      if (extra < 0 || (extra < (mostTimes - 1) * blocks && (extra % blocksBetween !== 0 || !enough(done)))) continue
      const { operations, unit, bytes } = own
      const implementations = { implementationA: own.implementation, implementationB: other.implementation }
      return { ...implementations, operations, unit, bytes, blocks: done }
    }
  } finally {
    await closeAll()
  }
}

/**
 * How much longer b takes than a in a block, as a logarithm: the centre of the mean log ratios of neighbouring pairs of
 * opposite order, in which what the first call of a pair does to the second cancels out.
 */
export function blockLogRatio({ aNs, bNs }: Pick<PairBlock, 'aNs' | 'bNs'>): number {
  const ratios: number[] = []
  for (let i = 0; i + 1 < aNs.length; i += 2) {
    const one = Math.log((bNs[i] as number) / (aNs[i] as number))
    const two = Math.log((bNs[i + 1] as number) / (aNs[i + 1] as number))
    ratios.push((one + two) / 2)
  }
  return centre(ratios)
}
