/** Random numbers that a seed reproduces, for resampling and for the order of runs. */

/** Uniform in [0, 1) with 32 random bits. The generator is sfc32 (C. Doty-Humphrey, PractRand), seeded through its counter. */
export function seededUniform(seed: number): () => number {
  let a = seed >>> 0
  let b = 0x9e3779b9
  let c = 0x243f6a88
  let counter = 1
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 12; i++) next()
  return next
}
