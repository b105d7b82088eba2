// Where two engines part: a layer that went wrong must show, whatever stands beside it.
import t from 'tap'
import { compareFiles } from '../lib/drift.ts'
import type { ArtifactFile } from '../lib/protocol/artifact-file.ts'

function traced(layers: readonly (readonly number[])[]): ArtifactFile {
  return {
    artifacts: new Map(),
    kDim: 12,
    blockHash: undefined,
    publicKey: undefined,
    seqLen: undefined,
    rng: undefined,
    engine: undefined,
    traces: layers.map((values, nonce) => ({
      nonce,
      layers: values.map((value) => Float32Array.of(value)),
      lastHidden: Float32Array.of(values.at(-1) as number),
    })),
  }
}

t.test('layers', (t) => {
  const one = traced([[1], [1], [1]])
  const part = (...values: number[]) => compareFiles(one, traced(values.map((value) => [value])), []).layers[0]
  t.match(part(1, 1, 1), { layer: 0, median: 0, largest: 0 })
  t.match(part(4, 1.5, 1.25), { median: 0.5, largest: 3 })
  for (const order of [
    [4, Number.NaN, 1.5],
    [Number.NaN, 4, 1.5],
    [1.5, 4, Number.NaN],
  ])
    t.match(part(...order), { median: 3, largest: Number.NaN }, order.join())
  t.end()
})
