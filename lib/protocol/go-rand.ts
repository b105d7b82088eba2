// Go's math/rand generator (the Source of rand.NewSource, unchanged since Go 1.0), needed bit for bit because validators
// choose the leaves they check with it. Additive lagged Fibonacci over 64-bit words: x[n] = x[n-607] + x[n-273].
//
// Go mixes the seed with 607 "cooked" words: the state of the same recurrence, seeded with 1, after 7.8e12 steps. Those
// words are computed here instead of copied: x^N modulo the recurrence's polynomial gives the state N steps ahead.

const length = 607
const tap = 273
const wordMask = (1n << 64n) - 1n
const cookedSteps = 7_800_000_000_000n

/** One step of the multiplicative generator that expands a 31-bit seed (Park-Miller, multiplier 48271). */
function nextSeedWord(x: number): number {
  return (x * 48271) % 0x7fffffff
}

/** Reduces a seed into [1, 2^31-2]; 0 becomes 89482311, as in Go. */
function reduceSeed(seed: bigint): number {
  const m = 0x7fffffffn
  let s = BigInt.asIntN(64, seed) % m
  if (s < 0n) s += m
  return s === 0n ? 89482311 : Number(s)
}

function expandSeed(seed: bigint, shift: bigint): bigint[] {
  let x = reduceSeed(seed)
  for (let i = 0; i < 20; i++) x = nextSeedWord(x)
  const words: bigint[] = []
  for (let i = 0; i < length; i++) {
    let word = 0n
    for (const by of [2n * shift, shift, 0n]) {
      x = nextSeedWord(x)
      word ^= BigInt(x) << by
    }
    words.push(word & wordMask)
  }
  return words
}

// Polynomials over the integers modulo 2^64 are packed into one big integer, one coefficient per slot. A product's slot
// holds at most 607 * 2^128 < 2^138, so 144 bits keep neighbours apart.
const slotBits = 144
const slotHex = slotBits / 4

function pack(coefficients: readonly bigint[]): bigint {
  let hex = ''
  for (let i = coefficients.length - 1; i >= 0; i--)
    hex += (coefficients[i] as bigint).toString(16).padStart(slotHex, '0')
  return BigInt(`0x${hex}`)
}

function unpack(packed: bigint, count: number): bigint[] {
  const hex = packed.toString(16).padStart(count * slotHex, '0')
  const out: bigint[] = []
  for (let i = 0; i < count; i++) {
    const end = hex.length - i * slotHex
    out.push(BigInt(`0x${hex.slice(end - 16, end)}`))
  }
  return out
}

/** Reduces modulo x^607 = x^334 + 1 (the recurrence written forwards: y[n+607] = y[n+334] + y[n]). */
function reduce(coefficients: bigint[]): bigint[] {
  for (let i = coefficients.length - 1; i >= length; i--) {
    const c = coefficients[i] as bigint
    if (c === 0n) continue
    coefficients[i - length] = ((coefficients[i - length] as bigint) + c) & wordMask
    coefficients[i - tap] = ((coefficients[i - tap] as bigint) + c) & wordMask
  }
  return coefficients.slice(0, length)
}

function computeCookedWords(): bigint[] {
  let power = reduce([1n])
  while (power.length < length) power.push(0n)
  for (const bit of cookedSteps.toString(2)) {
    const packed = pack(power)
    let squared = unpack(packed * packed, 2 * length)
    if (bit === '1') squared = [0n, ...squared]
    power = reduce(squared)
  }
  const start = expandSeed(1n, 10n)
  // y[k] is the k-th word the feed pointer meets: it starts at 333 and walks downwards.
  const y: bigint[] = []
  for (let k = 0; k < length; k++) y.push(start[(length - tap - 1 - k + length) % length] as bigint)
  for (let k = length; k < 2 * length; k++) y.push(((y[k - length] as bigint) + (y[k - tap] as bigint)) & wordMask)
  const cooked = new Array<bigint>(length).fill(0n)
  const offset = Number(cookedSteps % BigInt(length))
  for (let j = 0; j < length; j++) {
    let sum = 0n
    for (let i = 0; i < length; i++) sum += (power[i] as bigint) * (y[i + j] as bigint)
    const position = (((length - tap - 1 - j - offset) % length) + length) % length
    cooked[position] = sum & wordMask
  }
  return cooked
}

let cookedWords: readonly bigint[] | undefined

/** A deterministic stream equal to Go's `rand.New(rand.NewSource(seed))`. Not safe for secrets. */
export interface GoRand {
  /** Go's Int63: uniform in [0, 2^63). */
  int63(): bigint
  /** Go's Intn: uniform in [0, n), 0 < n <= 2^31-1. */
  intn(n: number): number
  /** Go's Perm: a permutation of 0..n-1. */
  perm(n: number): number[]
}

/** Seeds a generator. `seed` is taken as a signed 64-bit integer. */
export function goRand(seed: bigint): GoRand {
  cookedWords ??= computeCookedWords()
  const state = BigUint64Array.from(expandSeed(seed, 20n).map((word, i) => word ^ (cookedWords?.[i] as bigint)))
  let tapAt = 0
  let feedAt = length - tap
  const int63 = (): bigint => {
    tapAt = (tapAt + length - 1) % length
    feedAt = (feedAt + length - 1) % length
    state[feedAt] = (state[feedAt] as bigint) + (state[tapAt] as bigint)
    return (state[feedAt] as bigint) & (wordMask >> 1n)
  }
  const int31 = () => Number(int63() >> 32n)
  const intn = (n: number): number => {
    if (!Number.isInteger(n) || n <= 0 || n > 0x7fffffff) throw new RangeError(`intn: n=${n} is not in 1..2^31-1`)
    if ((n & (n - 1)) === 0) return int31() & (n - 1)
    const max = 0x7fffffff - (0x80000000 % n)
    let v = int31()
    while (v > max) v = int31()
    return v % n
  }
  const perm = (n: number): number[] => {
    const m = new Array<number>(n)
    // Go draws for i = 0 too, although it has no choice to make; skipping that draw would shift the stream.
    for (let i = 0; i < n; i++) {
      const j = intn(i + 1)
      m[i] = m[j] as number
      m[j] = i
    }
    return m
  }
  return { int63, intn, perm }
}
