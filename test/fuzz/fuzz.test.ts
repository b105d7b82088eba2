import t from 'tap'
import { fuzz } from './fuzz.ts'
import { targets } from './targets.ts'

t.setTimeout(0)
const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31)
t.comment(`TEST_SEED=${seed}`)

for (const [name, target] of Object.entries(targets)) {
  t.test(name, async (t) => {
    const { read, finding } = fuzz(target, 3000, seed)
    t.equal(finding, undefined)
    t.ok(read > 0 && read < 3000, `${read} of 3000 inputs were read`)
  })
}

t.test('a bug is found', async (t) => {
  const { finding } = fuzz(
    {
      corpus: [Uint8Array.of(1, 2, 3, 4)],
      run: (input) => {
        if (input.length === 4 && input[2] === 0x80) throw new RangeError('index out of range')
        return true
      },
    },
    20_000,
    seed,
  )
  t.match(finding, /RangeError: index out of range\n[0-9a-f]{4}80[0-9a-f]{2}$/)
})
