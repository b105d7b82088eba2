import t from 'tap'
import { overheads } from '../../lib/bench/overhead.ts'

const figure = (name: string, medianNs: number, more: { threads?: number; skipped?: string } = {}) => ({
  name,
  device: 'cpu:0',
  threads: more.threads ?? 1,
  skipped: more.skipped ?? null,
  medianNs,
  intervalNs: { low: medianNs * 0.9, high: medianNs * 1.1 },
})

t.test('beside the gemm of the same shape, device and threads', async (t) => {
  const gemm = figure('gemm 2048x2048x4096 i8 packed', 100)
  const all = overheads([
    figure('matmul_pow 2048x2048x4096 i8', 103),
    figure('matmul_pow 2048x2048x4096 i4', 98),
    gemm,
    figure('gemm 2048x2048x4096 i8', 200),
    figure('gemm 2048x2048x4096 f32 packed', 1),
  ])
  t.match(
    all.map(({ name, beside }) => [name, beside]),
    [
      ['matmul_pow 2048x2048x4096 i8', gemm.name],
      ['matmul_pow 2048x2048x4096 i4', gemm.name],
    ],
  )
  t.ok(Math.abs((all[0]?.fraction ?? 0) - 0.03) < 1e-12)
  t.ok(Math.abs((all[1]?.fraction ?? 0) + 0.02) < 1e-12)
  t.ok(Math.abs((all[0]?.low ?? 0) - (1.03 * (0.9 / 1.1) - 1)) < 1e-12)
  t.ok(Math.abs((all[0]?.high ?? 0) - (1.03 * (1.1 / 0.9) - 1)) < 1e-12)
})

t.test('nothing where there is nothing to hold it against', async (t) => {
  t.same(
    overheads([
      figure('matmul_pow 1024x1024x1024 i8', 103),
      figure('gemm 2048x2048x4096 i8 packed', 100),
      figure('gemm 1024x1024x1024 i8 packed', 100, { threads: 2 }),
      figure('gemm 1024x1024x1024 i8', 100, { skipped: 'refused' }),
    ]),
    [],
  )
})
