// The vector of a PoC v2 artifact: fp16 numbers, little endian, base64.

/** fp32 to fp16 bits, round to nearest even, subnormals kept, overflow to infinity. */
export function toHalfBits(value: number): number {
  const f32 = new Float32Array([value])
  const bits = new Uint32Array(f32.buffer)[0] as number
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x47800000) return sign | 0x7c00
  if (magnitude < 0x38800000) {
    // Subnormal result: a multiple of 2^-24, found by adding the fp32 whose last bit has that weight.
    const scaled = new Float32Array([Math.fround(Math.abs(f32[0] as number) + 0.5)])
    return sign | ((new Uint32Array(scaled.buffer)[0] as number) - 0x3f000000)
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - 0x38000000) >>> 13)
}

export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** fp32 values to the bytes an artifact carries (2 per value). */
export function encodeVectorBytes(values: Float32Array): Uint8Array {
  const out = new Uint8Array(2 * values.length)
  const view = new DataView(out.buffer)
  values.forEach((v, i) => {
    view.setUint16(2 * i, toHalfBits(v), true)
  })
  return out
}

export function encodeVector(values: Float32Array): string {
  return Buffer.from(encodeVectorBytes(values)).toString('base64')
}

export function decodeVectorBytes(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float32Array.from({ length: bytes.length >> 1 }, (_, i) => fromHalfBits(view.getUint16(2 * i, true)))
}

/** Standard base64 (padding required) of an even number of bytes; undefined for anything else. Values may be non-finite. */
export function decodeVector(base64: string): Float32Array | undefined {
  const bytes = decodeBase64(base64)
  return bytes === undefined || bytes.length % 2 !== 0 ? undefined : decodeVectorBytes(bytes)
}

/** Strict standard base64; undefined if any character, the length or the padding is off. */
export function decodeBase64(base64: string): Uint8Array | undefined {
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return undefined
  return Uint8Array.from(Buffer.from(base64, 'base64'))
}
