/** Seeded random mutations. */

/** xoshiro128** (Blackman and Vigna 2018), seeded through splitmix32. */
export class Random {
  readonly #state = new Uint32Array(4)

  constructor(seed: number) {
    let x = seed >>> 0
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0
      let z = x
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
      this.#state[i] = z ^ (z >>> 16)
    }
  }

  /** 0 .. bound - 1. */
  below(bound: number): number {
    const s = this.#state as unknown as [number, number, number, number]
    const x = Math.imul(s[1], 5)
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0
    const t = s[1] << 9
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = (s[3] << 11) | (s[3] >>> 21)
    return Math.floor((result / 2 ** 32) * bound)
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T
  }
}

/** Bytes at which parsers break: varint continuations, signs, lengths. */
const interesting = [0, 1, 0x7f, 0x80, 0xff, 0x08, 0x0a, 0x12, 0x1a, 0x22, 0x20, 0x7b, 0x7d, 0x22, 0x2c, 0x2d, 0x39]

/** One to eight changes: bits flipped, bytes set, pieces removed, doubled, moved or taken from other inputs. */
export function mutateBytes(random: Random, input: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array {
  let bytes = Uint8Array.from(input)
  for (let changes = 1 + random.below(random.below(3) === 0 ? 8 : 2); changes > 0; changes--) {
    const at = random.below(bytes.length + 1)
    const length = 1 + random.below(random.below(4) === 0 ? 64 : 4)
    const tail = bytes.subarray(Math.min(bytes.length, at + length))
    const piece = bytes.subarray(at, at + length)
    switch (random.below(7)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
        break
      case 1:
        if (at < bytes.length) bytes[at] = random.below(2) === 0 ? random.pick(interesting) : random.below(256)
        break
      case 2:
        bytes = join(bytes.subarray(0, at), tail)
        break
      case 3:
        bytes = join(bytes.subarray(0, at), piece, bytes.subarray(at))
        break
      case 4:
        bytes = join(
          bytes.subarray(0, at),
          Uint8Array.from({ length }, () => random.pick(interesting)),
          bytes.subarray(at),
        )
        break
      case 5: {
        const other = random.pick(corpus)
        const from = random.below(other.length)
        bytes = join(bytes.subarray(0, at), other.subarray(from, from + length), tail)
        break
      }
      default:
        bytes = bytes.slice(0, at)
    }
  }
  return bytes
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const values: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1,
  0.5,
  1e-320,
  1e308,
  2 ** 24,
  2 ** 24 + 1,
  2 ** 31,
  2 ** 53 - 1,
  2 ** 53,
  '',
  '1',
  'é\u0000\ud800',
  [],
  [1],
  {},
  { dim: 1 },
]
const keys = ['dim', '__proto__', 'constructor', 'toString', '', 'nonces', 'length', 'x'.repeat(300)]

/** Replaces, removes, adds or multiplies something somewhere in a JSON value; returns the text. */
export function mutateJson(random: Random, text: string): string {
  const root: { value: unknown } = { value: JSON.parse(text) }
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    let holder: Record<string, unknown> = root
    let key = 'value'
    // Down into the value, deeper as long as the coin says so.
    while (typeof holder[key] === 'object' && holder[key] !== null && random.below(5) > 0) {
      const inner = holder[key] as Record<string, unknown>
      const inside = Object.keys(inner)
      if (inside.length === 0) break
      holder = inner
      key = random.pick(inside)
    }
    const value = holder[key]
    switch (random.below(6)) {
      case 0:
        delete holder[key]
        if (holder === root) root.value = null
        break
      case 1:
        if (typeof value === 'number') holder[key] = value * random.pick([2, -1, 0.5, 1e6, 1e-6])
        break
      case 2:
        if (typeof value === 'number') holder[key] = value + random.pick([1, -1, 0.25, 2])
        break
      case 3:
        if (typeof value === 'object' && value !== null) {
          Object.defineProperty(value, Array.isArray(value) ? value.length : random.pick(keys), {
            value: structuredClone(random.pick(values)),
            enumerable: true,
            configurable: true,
            writable: true,
          })
        }
        break
      default:
        holder[key] = structuredClone(random.pick(values))
    }
  }
  return JSON.stringify(root.value) ?? 'null'
}
